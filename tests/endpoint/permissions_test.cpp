// The option `permissions`: what each key may publish and receive, from a file that is read again.
#include <cstdio>
#include <fstream>

#include "endpoint/permissions_file.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

const std::string some_key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

std::string problem_of(std::string_view document) {
    const auto parsed = parse_permissions(document, "who.toml");
    EXPECT_FALSE(parsed) << document;
    return parsed ? std::string{} : to_string(parsed.error());
}

TEST(permissions, a_file_names_keys_and_what_they_may_do) {
    const auto parsed = parse_permissions("[[permissions]]\n"
                                          "key = \"" + some_key + "\"\n"
                                          "publish = [\"/logs/\", \"/alarms\"]\n"
                                          "subscribe = []\n"
                                          "[[permissions]]\n"
                                          "key = \"*\"\n"
                                          "stores = [\"shared\"]\n",
                                          "who.toml");
    ASSERT_TRUE(parsed) << to_string(parsed.error());
    const auto own = parsed->of(some_key);
    ASSERT_TRUE(own);
    EXPECT_EQ(own->publish, (std::vector<std::string>{"/alarms", "/logs/"}));
    EXPECT_EQ(own->subscribe, std::vector<std::string>{});
    EXPECT_FALSE(own->stores);
    const auto others = parsed->of("any other");
    ASSERT_TRUE(others);
    EXPECT_FALSE(others->publish);
    EXPECT_EQ(others->stores, std::vector<std::string>{"shared"});
}

TEST(permissions, a_file_that_says_something_else_is_refused_with_the_place_and_what_was_expected) {
    const std::string all = "[[permissions]]\nkey = \"*\"\n";
    const std::pair<std::string, std::string> wrong[] = {
        {"[[permission]]\nkey = \"*\"\n",
         "who.toml:1:3: unknown key \"permission\"; did you mean \"permissions\"?"},
        {all + "subscibe = []\n",
         "who.toml:3:1: unknown key \"subscibe\"; did you mean \"subscribe\"?"},
        {all + "publish = \"/a\"\n", "who.toml:3:11: publish: expected a list of topic prefixes"},
        {all + "publish = [\"/a\", 7]\n", "who.toml:3:18: publish: expected a list of topic"},
        {all + "stores = [\"" + std::string(256, 's') + "\"]\n", "each of at most 255 bytes"},
        {"[[permissions]]\nkey = \"short\"\n", "who.toml:2:7: key: expected a public key, 40"},
        {"[[permissions]]\npublish = []\n", "permissions: expected a key in each table"},
        {all + all, "who.toml:4:7: key: expected one table a key, but * has another one"},
        {"permissions = 3\n", "who.toml:1:15: permissions: expected tables"},
        {"permissions = [3]\n", "who.toml:1:16: permissions: expected tables"},
        {"", "permissions: expected a table with key = \"*\" too"},
        {"[[permissions]]\nkey = \"" + some_key + "\"\n",
         "permissions: expected a table with key = \"*\" too"},
        {all + "publish = [\n", "who.toml:"},
    };
    for (const auto& [document, told] : wrong) {
        const auto problem = problem_of(document);
        EXPECT_TRUE(problem.starts_with("invalid_configuration: who.toml:")) << problem;
        EXPECT_NE(problem.find(told), std::string::npos) << problem << "\ninstead of " << told;
    }
}

/// A hub, an agent that it restricts, and a reader that it does not; all with keys of their own.
class restricted : public ::testing::Test {
  protected:
    restricted() {
        for (const auto* name : {"hub", "agent", "reader"}) {
            EXPECT_TRUE(write_certificate(folder.path + "/" + name, *generate_certificate(), true));
        }
    }
    std::string key(const std::string& name) const {
        return load_certificate(folder.path + "/" + name + ".key")->public_key;
    }
    std::string file() const { return folder.path + "/permissions.toml"; }
    /// The rules of the agent; all others may do everything.
    void permit(const std::string& rules) const {
        put("[[permissions]]\nkey = \"" + key("agent") + "\"\n" + rules
            + "\n[[permissions]]\nkey = \"*\"\n");
    }
    /// Complete or not at all, as an operator should.
    void put(const std::string& content) const {
        std::ofstream{file() + ".new"} << content;
        ASSERT_EQ(std::rename((file() + ".new").c_str(), file().c_str()), 0);
    }
    endpoint with_key(const std::string& name, const std::string& permissions = {}) const {
        auto options = named(name);
        options.cert = folder.path + "/" + name + ".key_secret";
        options.server_key = folder.path + "/hub.key";
        options.allow_any_client = true;
        options.permissions = permissions;
        return endpoint{configuration{options}};
    }

    scratch folder;
};

TEST_F(restricted, a_key_publishes_what_it_may_and_the_operator_hears_of_the_rest) {
    permit("publish = [\"/logs/\"]");
    for (const auto mode : {delivery_mode::best_effort, delivery_mode::reliable}) {
        auto hub = with_key("hub", file());
        auto agent = with_key("agent");
        auto reader = with_key("reader");
        auto news = hub.make_status_subscriber();
        auto messages = reader.make_subscriber({"/"});
        join(agent, hub);
        join(reader, hub);
        ASSERT_TRUE(agent.wait_for_subscriber("/logs/", 1, patience));
        for (const auto* topic : {"/logs/1", "/secret", "/logs/2", "/secret", "/logs/3"}) {
            EXPECT_EQ(agent.publish(topic, topic, mode), ec::none);
        }
        for (const auto* topic : {"/logs/1", "/logs/2", "/logs/3"}) {
            EXPECT_EQ(messages.get(patience).value().topic(), topic);
        }
        const auto told = get<error>(read_until(news, ec::forbidden).back()).message();
        EXPECT_NE(told.find("\"agent\" (" + to_string(agent.node_id())), std::string::npos) << told;
        EXPECT_NE(told.find(key("agent").substr(0, 8)), std::string::npos) << told;
        EXPECT_NE(told.find("\"/secret\""), std::string::npos) << told;
        EXPECT_EQ(hub.metrics().dropped_forbidden, 2U);
        EXPECT_TRUE(eventually([&] { return agent.metrics().buffered_bytes == 0; }));
    }
}

TEST_F(restricted, a_key_receives_what_it_may_whatever_it_subscribes_to) {
    permit("subscribe = [\"/public/\"]");
    auto hub = with_key("hub", file());
    auto agent = with_key("agent");
    auto reader = with_key("reader");
    auto of_agent = agent.make_subscriber({"/"});
    auto of_reader = reader.make_subscriber({"/"});
    join(agent, hub);
    join(reader, hub);
    ASSERT_TRUE(hub.wait_for_subscriber("/public/", 2, patience));
    for (const auto* topic : {"/secret", "/public/1", "/secret", "/public/2"}) {
        EXPECT_EQ(hub.publish(topic, topic, delivery_mode::reliable), ec::none);
    }
    for (const auto* topic : {"/public/1", "/public/2"}) {
        EXPECT_EQ(of_agent.get(patience).value().topic(), topic);
    }
    for (const auto* topic : {"/secret", "/public/1", "/secret", "/public/2"}) {
        EXPECT_EQ(of_reader.get(patience).value().topic(), topic);
    }
    EXPECT_EQ(hub.metrics().dropped_forbidden, 2U);
    EXPECT_EQ(agent.metrics().gaps, 0U);
}

TEST_F(restricted, a_key_reaches_the_stores_that_it_may) {
    permit("stores = [\"shared\"]");
    auto hub = with_key("hub", file());
    auto shared = hub.attach_master("shared", backend::memory);
    auto secret = hub.attach_master("secret", backend::memory);
    ASSERT_TRUE(shared && secret);
    shared->put("k", 1);
    auto agent = with_key("agent");
    join(agent, hub);
    auto clone = agent.attach_clone("shared");
    ASSERT_TRUE(clone) << to_string(clone.error());
    EXPECT_TRUE(eventually([&] { return clone->get("k").has_value(); }));
    clone_options soon;
    soon.get_delay = 100ms;
    auto hidden = agent.attach_clone("secret", soon);
    ASSERT_TRUE(hidden);
    EXPECT_EQ(hidden->get("k").error(), ec::stale_data);
    EXPECT_GE(hub.metrics().dropped_forbidden, 1U);
}

TEST_F(restricted, the_file_is_read_again_when_it_changes) {
    permit("publish = []");
    auto hub = with_key("hub", file());
    auto agent = with_key("agent");
    auto news = hub.make_status_subscriber();
    auto messages = hub.make_subscriber({"/a"});
    join(agent, hub);
    ASSERT_TRUE(agent.wait_for_subscriber("/a", 1, patience));
    const auto arrives = [&](const std::string& text) {
        return eventually([&] {
            agent.publish("/a", text);
            const auto got = messages.get(10ms);
            return got && got->text() == text;
        });
    };
    EXPECT_EQ(agent.publish("/a", "before"), ec::none);
    read_until(news, ec::forbidden);
    permit("publish = [\"/a\"]");
    EXPECT_TRUE(arrives("allowed"));
    // What is no such file changes nothing, and is told.
    put("[[permissions]]\nkey = 7\n");
    const auto told = get<error>(read_until(news, ec::invalid_configuration).back()).message();
    EXPECT_NE(told.find(file() + ":2:7: key: expected a public key"), std::string::npos) << told;
    EXPECT_TRUE(arrives("still"));
    permit("publish = [\"/b\"]");
    const auto before = hub.metrics().dropped_forbidden;
    EXPECT_TRUE(eventually([&] {
        agent.publish("/a", "no more");
        return hub.metrics().dropped_forbidden > before;
    }));
}

TEST_F(restricted, rules_written_before_a_peer_connects_hold_from_its_first_message) {
    permit("");
    auto hub = with_key("hub", file());
    auto agent = with_key("agent");
    auto messages = hub.make_subscriber({"/"});
    permit("publish = [\"/a\"]");
    join(agent, hub);
    ASSERT_TRUE(agent.wait_for_subscriber("/a", 1, patience));
    for (const auto* topic : {"/b", "/a"}) {
        EXPECT_EQ(agent.publish(topic, topic), ec::none);
    }
    EXPECT_EQ(messages.get(patience).value().topic(), "/a");
}

TEST_F(restricted, permissions_without_keys_or_a_good_file_start_no_endpoint) {
    const auto refusal = [](const endpoint_options& options) {
        try {
            endpoint started{configuration{options}};
        } catch (const endpoint_error& problem) {
            return to_string(problem.why());
        }
        return std::string{"it starts"};
    };
    auto options = named("hub");
    options.permissions = file();
    EXPECT_EQ(refusal(options), "invalid_configuration: permissions: expected a cert too, since only "
                                "encrypted links know whose key is at their far end");
    options.cert = folder.path + "/hub.key_secret";
    EXPECT_EQ(refusal(options),
              "cannot_open_file: permissions: " + file() + ": No such file or directory");
    put("[[permissions]]\nkey = \"*\"\npublish = 1\n");
    EXPECT_TRUE(refusal(options).starts_with("invalid_configuration: " + file() + ":3:11: publish: "))
        << refusal(options);
}

}  // namespace
}  // namespace bzmq::testing
