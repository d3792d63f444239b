#include "bzmq/configuration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "endpoint/configuration_sources.hpp"
#include "endpoint/configuration_table.hpp"
#include "source_dir.hpp"
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace bzmq {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

expected<void> init(configuration& cfg, std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    arguments.push_back(nullptr);
    return cfg.init(static_cast<int>(arguments.size()) - 1, arguments.data());
}

/// Keeps the variables that other tests or the user's shell set out of a test, and its own from
/// them.
class configuration_test : public testing::Test {
  protected:
    void SetUp() override {
        unset_all();
        folder_ = std::filesystem::temp_directory_path()
                  / ("bzmq-configuration-test-" + std::to_string(getpid()));
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override {
        unset_all();
        std::filesystem::remove_all(folder_);
    }
    std::string write_file(const std::string& text) {
        const auto path = folder_ / "bzmq.toml";
        std::ofstream{path} << text;
        return path;
    }

  private:
    static void unset_all() {
        for (const auto& known : config::options()) {
            std::string name = "BZMQ_";
            for (const char c : known.key) {
                name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            }
            unsetenv(name.c_str());
        }
        unsetenv("BZMQ_CONFIG_FILE");
    }
    std::filesystem::path folder_;
};

std::string toml_error(const std::string& document) {
    endpoint_options options;
    const auto done = config::apply_toml(options, document, "a.toml");
    EXPECT_FALSE(done) << document;
    if (done) {
        return {};
    }
    EXPECT_EQ(done.error().code(), ec::invalid_configuration);
    return done.error().message();
}

std::string argument_error(const char* argument) {
    configuration cfg;
    const auto done = init(cfg, {argument});
    EXPECT_FALSE(done) << argument;
    return done ? std::string{} : done.error().message();
}

TEST_F(configuration_test, defaults_are_valid) {
    const configuration cfg;
    EXPECT_TRUE(cfg.validate());
    EXPECT_FALSE(cfg.error());
    EXPECT_EQ(cfg.options().peer_timeout, 3s);
    EXPECT_EQ(cfg.options().peer_overflow, overflow_policy::drop_newest);
}

TEST_F(configuration_test, later_sources_win_over_earlier_ones) {
    const auto file = write_file(
        "name = 'file'\ndomain = 'file'\nretry_min = '1ms'\nframe_bytes = '8KiB'\nretry_max = "
        "'2s'\n");
    setenv("BZMQ_DOMAIN", "environment", 1);
    setenv("BZMQ_RETRY_MIN", "2ms", 1);
    setenv("BZMQ_FRAME_BYTES", "16KiB", 1);
    configuration cfg;
    cfg.options().frame_bytes = 65535;
    ASSERT_TRUE(init(
        cfg, {"--config-file", file.c_str(), "--bzmq.retry-min=3ms", "--bzmq.frame_bytes=1KiB"}));
    EXPECT_EQ(cfg.options().name, "file");
    EXPECT_EQ(cfg.options().domain, "environment");
    EXPECT_EQ(cfg.options().retry_min, 3ms);
    EXPECT_EQ(cfg.options().frame_bytes, 65535u) << "code wins, though it came before init";
    EXPECT_EQ(cfg.options().retry_max, 2s);
    cfg.options().name = "code";
    EXPECT_EQ(cfg.options().name, "code");
    ASSERT_TRUE(init(cfg, {"--bzmq.name=late"}));
    EXPECT_EQ(cfg.options().name, "code") << "and stays through a second init";
    EXPECT_EQ(cfg.options().retry_max, 10s) << "which starts again from the defaults";
}

TEST_F(configuration_test, the_file_may_be_named_by_code_arguments_or_environment) {
    const auto file = write_file("name = 'found'");
    for (const int place : {0, 1, 2}) {
        configuration cfg;
        std::vector<const char*> arguments;
        const auto argument = "--config-file=" + file;
        if (place == 0) {
            cfg.config_file(file);
            arguments.push_back("--config-file=/nonexistent");
        } else if (place == 1) {
            setenv("BZMQ_CONFIG_FILE", "/nonexistent", 1);
            arguments.push_back(argument.c_str());
        } else {
            setenv("BZMQ_CONFIG_FILE", file.c_str(), 1);
        }
        ASSERT_TRUE(init(cfg, arguments)) << place << ' ' << to_string(cfg.error());
        EXPECT_EQ(cfg.options().name, "found");
    }
}

TEST_F(configuration_test, the_command_line_keeps_what_is_not_ours) {
    configuration cfg;
    ASSERT_TRUE(init(cfg, {"pub", "--bzmq.name", "a b", "-n", "3", "--bzmq.allow_insecure_listen",
                           "--bzmq.forwarding=false", "--", "--bzmq.nonsense=1"}));
    EXPECT_THAT(cfg.remainder(), ElementsAre("pub", "-n", "3", "--", "--bzmq.nonsense=1"));
    EXPECT_EQ(cfg.options().name, "a b");
    EXPECT_TRUE(cfg.options().allow_insecure_listen);
    EXPECT_FALSE(cfg.options().forwarding);
}

TEST_F(configuration_test, lists_come_from_repeated_arguments_or_commas) {
    configuration cfg;
    setenv("BZMQ_LISTEN", "from-the-environment", 1);
    setenv("BZMQ_PEERS", "tcp://a:1, tcp://b:2,", 1);
    ASSERT_TRUE(init(cfg, {"--bzmq.listen=a:1,[::1]:2", "--bzmq.listen=ipc:///c"}));
    EXPECT_THAT(cfg.options().listen, ElementsAre("a:1", "[::1]:2", "ipc:///c"));
    EXPECT_THAT(cfg.options().peers,
                ElementsAre(peer_options{"tcp://a:1", {}, {}}, peer_options{"tcp://b:2", {}, {}}));
}

TEST_F(configuration_test, a_file_sets_every_type) {
    endpoint_options options;
    const auto done = config::apply_toml(options, R"(
name = "relay-1"
listen = ["tcp://127.0.0.1:0", "ipc:///run/bzmq.sock"]
peers = [
    "tcp://a:1",
    { url = "tcp://b:2", server_key = "b.key", retry = "5s" },
    { url = "c", retry = 0 },
]
forwarding = false
peer_timeout = "1min"
frame_bytes = 65536
link_window_bytes = "8 MiB"
peer_queue_messages = 10
link_cost = 7
peer_overflow = "block"
publish_timeout = 0
log_level = "debug"
)",
                                         "a.toml");
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_EQ(options.name, "relay-1");
    EXPECT_THAT(options.listen, ElementsAre("tcp://127.0.0.1:0", "ipc:///run/bzmq.sock"));
    EXPECT_THAT(options.peers, ElementsAre(peer_options{"tcp://a:1", {}, {}},
                                           peer_options{"tcp://b:2", "b.key", 5s},
                                           peer_options{"c", {}, timespan{0}}));
    EXPECT_FALSE(options.forwarding);
    EXPECT_EQ(options.peer_timeout, 1min);
    EXPECT_EQ(options.frame_bytes, 65536u);
    EXPECT_EQ(options.link_window_bytes, 8u << 20);
    EXPECT_EQ(options.peer_queue_messages, 10u);
    EXPECT_EQ(options.link_cost, 7u);
    EXPECT_EQ(options.peer_overflow, overflow_policy::block);
    EXPECT_EQ(options.log_level, log_level::debug);

    endpoint_options limited;
    ASSERT_TRUE(config::apply_toml(limited,
                                   "[[peers]]\nurl = 'b'\noverflow = 'block'\n"
                                   "queue_bytes = '1MiB'\nqueue_messages = 10\nlink_cost = 30\n",
                                   "a.toml"));
    EXPECT_EQ(limited.peers.at(0).limits,
              (peering_limits{overflow_policy::block, std::size_t{1} << 20, 10, 30}));

    endpoint_options blocks;
    ASSERT_TRUE(config::apply_toml(
        blocks, "listen = 'a'\n[[peers]]\nurl = 'b'\n[[peers]]\nurl = 'c'\n", "a.toml"));
    EXPECT_THAT(blocks.listen, ElementsAre("a"));
    EXPECT_EQ(blocks.peers.size(), 2u);
}

TEST_F(configuration_test, an_error_in_a_file_names_line_key_and_expectation) {
    EXPECT_EQ(toml_error("name = 'x'\npeer_timeot = '3s'\n"),
              "a.toml:2:1: unknown key \"peer_timeot\"; did you mean \"peer_timeout\"?");
    EXPECT_EQ(toml_error("color = 'red'"), "a.toml:1:1: unknown key \"color\"");
    EXPECT_EQ(toml_error("\npeer_timeout = '3 parsecs'"),
              "a.toml:2:16: peer_timeout: expected a duration from 20ms to 1h, such as \"250ms\" "
              "or \"3s\"");
    EXPECT_THAT(toml_error("peer_timeout = 3"), HasSubstr("expected a duration"));
    EXPECT_THAT(toml_error("peer_timeout = '0s'"), HasSubstr("from 20ms"));
    EXPECT_THAT(toml_error("frame_bytes = '64kb'"),
                HasSubstr("expected a size from 1KiB to 16MiB"));
    EXPECT_THAT(toml_error("frame_bytes = -1"), HasSubstr("expected a size"));
    EXPECT_THAT(toml_error("forwarding = 'yes'"),
                HasSubstr("a.toml:1:14: forwarding: expected true or false"));
    EXPECT_THAT(toml_error("forwarding = 1"), HasSubstr("expected true or false"));
    EXPECT_THAT(toml_error("name = 7"), HasSubstr("name: expected text"));
    EXPECT_THAT(toml_error("name = \"a\\nb\""), HasSubstr("without control characters"));
    EXPECT_THAT(toml_error("peer_queue_messages = '5'"),
                HasSubstr("expected a whole number from 1"));
    EXPECT_THAT(toml_error("link_cost = 99999999999"), HasSubstr("expected a whole number from 0"));
    EXPECT_THAT(toml_error("peer_overflow = 'drop'"),
                HasSubstr("expected block, drop_newest, drop_oldest or disconnect"));
    EXPECT_THAT(toml_error("listen = [\n  'a:1',\n  'b:99999'\n]"),
                HasSubstr("a.toml:3:3: listen: \"b:99999\": expected a port"));
    EXPECT_THAT(toml_error("listen = [1]"), HasSubstr("expected a list of URLs"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\nretrt = '1s'"),
                HasSubstr("a.toml:3:1: unknown key \"retrt\"; did you mean \"retry\"?"));
    EXPECT_THAT(toml_error("[[peers]]\nserver_key = 'a'"), HasSubstr("expected a url"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\nretry = true"),
                HasSubstr("a.toml:3:9: peers: retry: expected a duration"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\nretry = '25h'"),
                HasSubstr("retry from 0 to 24h"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\noverflow = 'wait'"),
                HasSubstr("a.toml:3:12: peers: overflow: expected block"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\nqueue_bytes = '1B'"),
                HasSubstr("peers: queue_bytes: expected a size from 4KiB"));
    EXPECT_THAT(toml_error("[[peers]]\nurl = 'a'\nqueue_messages = '5'"),
                HasSubstr("peers: queue_messages: expected a whole number"));
    EXPECT_THAT(toml_error("name = 'a\nx"), HasSubstr("a.toml:1:"));
    EXPECT_EQ(toml_error("name = 'a'\n[:"), "a.toml:2:1: expected well-formed TOML")
        << "toml++ asserts";
    EXPECT_THAT(toml_error("\u00e9 = 1"), HasSubstr("a.toml:1:1:")) << "toml++ calls it unreachable";
    EXPECT_THAT(toml_error("name = 'a'\nname = 'b'"), HasSubstr("a.toml:2:"));
}

TEST_F(configuration_test, an_error_outside_of_files_names_argument_or_variable) {
    EXPECT_EQ(argument_error("--bzmq.peer-timeot=3s"),
              "command line: unknown option --bzmq.peer_timeot; did you mean --bzmq.peer_timeout?");
    EXPECT_THAT(argument_error("--bzmq.colour"), HasSubstr("--help-bzmq lists them"));
    EXPECT_THAT(argument_error("--bzmq.peer-timeout=3"),
                HasSubstr("command line: --bzmq.peer_timeout=3: expected a duration"));
    EXPECT_THAT(argument_error("--bzmq.name"),
                HasSubstr("expected a value, as in --bzmq.name=VALUE"));
    EXPECT_THAT(argument_error("--config-file"), HasSubstr("expected a value"));
    setenv("BZMQ_FORWARDING", "maybe", 1);
    configuration cfg;
    EXPECT_EQ(cfg.init().error().message(),
              "environment: BZMQ_FORWARDING=maybe: expected true or false");
}

TEST_F(configuration_test, options_that_do_not_fit_each_other_are_told_with_their_place) {
    const auto file = write_file("name = 'a'\npeer_timeout = '500ms'\n");
    const auto message_of = [&](std::vector<const char*> arguments, const auto& change) {
        configuration cfg;
        cfg.config_file(file);
        change(cfg.options());
        const auto done = init(cfg, std::move(arguments));
        return done ? std::string{"it fits"} : done.error().message();
    };
    const auto nothing = [](auto&) {};
    const std::string told = "peer_timeout = 500ms: expected more than heartbeat_interval, which is ";
    EXPECT_EQ(message_of({}, nothing), file + ":2:1: " + told + "1s");
    EXPECT_EQ(message_of({"--bzmq.peer_timeout=500ms"}, nothing), "command line: " + told + "1s");
    EXPECT_EQ(message_of({}, [](auto& o) { o.peer_timeout = 400ms; }),
              "peer_timeout = 400ms: expected more than heartbeat_interval, which is 1s")
        << "which no file says";
    setenv("BZMQ_PEER_TIMEOUT", "500ms", 1);
    EXPECT_EQ(message_of({}, nothing), "environment: " + told + "1s");
    unsetenv("BZMQ_PEER_TIMEOUT");
    write_file("heartbeat_interval = '5s'");
    EXPECT_EQ(message_of({}, nothing),
              file
                  + ":1:1: peer_timeout = 3s: expected more than heartbeat_interval, which is 5s");
    write_file("\n[[peers]]\nurl = 'a'\nserver_key = 'a.key'");
    EXPECT_THAT(message_of({}, nothing),
                HasSubstr(file + ":2:3: peers: server_key: expected a cert too"));
    write_file("server_key = 'a.key'");
    EXPECT_EQ(message_of({}, nothing),
              file + ":1:1: server_key: expected a cert too, since only it turns encryption on");
}

TEST_F(configuration_test,
       a_variable_that_nearly_names_an_option_is_an_error_and_others_are_not_ours) {
    endpoint_options options;
    const char* foreign[] = {"BZMQ_ZEEK_LOGS=/x", "BZMQ_", "BZMQ=1", "OTHER=1", nullptr};
    EXPECT_TRUE(config::apply_environment(options, foreign));
    EXPECT_EQ(options, endpoint_options{});
    const char* slip[] = {"BZMQ_PEER_TIMEOT=3s", nullptr};
    EXPECT_EQ(config::apply_environment(options, slip).error().message(),
              "environment: unknown variable BZMQ_PEER_TIMEOT; did you mean BZMQ_PEER_TIMEOUT?");
    const char* lower[] = {"BZMQ_name=x", nullptr};
    EXPECT_FALSE(config::apply_environment(options, lower));
}

TEST_F(configuration_test, a_failed_init_changes_nothing_and_is_remembered) {
    configuration cfg;
    cfg.options().name = "before";
    EXPECT_FALSE(init(cfg, {"--bzmq.domain=d", "--bzmq.peer-timeout=x", "rest"}));
    EXPECT_EQ(cfg.options().domain, "");
    EXPECT_EQ(cfg.error(), ec::invalid_configuration);
    EXPECT_EQ(cfg.validate().error(), ec::invalid_configuration);
    EXPECT_THAT(cfg.remainder(), ElementsAre("rest"));
    EXPECT_TRUE(init(cfg, {"--bzmq.domain=d"}));
    EXPECT_FALSE(cfg.error());
    EXPECT_TRUE(cfg.validate());
    EXPECT_EQ(cfg.options().name, "before");
}

TEST_F(configuration_test, a_file_that_cannot_be_read_is_an_error) {
    configuration cfg;
    EXPECT_FALSE(init(cfg, {"--config-file=/nonexistent/bzmq.toml"}));
    EXPECT_EQ(cfg.error(), ec::cannot_open_file);
    EXPECT_THAT(cfg.error().message(), HasSubstr("/nonexistent/bzmq.toml: No such file"));
    EXPECT_FALSE(init(cfg, {"--config-file=/"}));
    EXPECT_EQ(cfg.error(), ec::cannot_open_file);
    const auto big = write_file(std::string(config::file_bytes_max + 1, '\n'));
    cfg.config_file(big);
    EXPECT_THAT(cfg.init().error().message(), HasSubstr("at most 1MiB"));
}

TEST_F(configuration_test, validate_checks_what_code_has_set) {
    const auto message_of = [](auto change) {
        configuration cfg;
        change(cfg.options());
        const auto done = cfg.validate();
        EXPECT_FALSE(done);
        return done ? std::string{} : done.error().message();
    };
    EXPECT_THAT(message_of([](auto& o) { o.peer_timeout = -1s; }),
                HasSubstr("peer_timeout: expected a duration"));
    EXPECT_THAT(message_of([](auto& o) { o.peer_timeout = 1s; }),
                HasSubstr("more than heartbeat_interval"));
    EXPECT_THAT(message_of([](auto& o) { o.retry_max = 1ms; }), HasSubstr("at least retry_min"));
    EXPECT_THAT(message_of([](auto& o) { o.link_window_bytes = 5000; }),
                HasSubstr("at least frame_bytes"));
    EXPECT_THAT(message_of([](auto& o) { o.allow = "keys"; }), HasSubstr("expected a cert"));
    EXPECT_THAT(message_of([](auto& o) { o.listen = {"x:y"}; }), HasSubstr("listen: \"x:y\""));
    EXPECT_THAT(message_of([](auto& o) { o.peer_overflow = static_cast<overflow_policy>(9); }),
                HasSubstr("peer_overflow: expected block"));
    EXPECT_THAT(message_of([](auto& o) { o.peers = {{"a", {}, -1s}}; }), HasSubstr("retry from 0"));
}

TEST_F(configuration_test, durations_and_sizes_read_what_they_write) {
    for (const std::int64_t ns : {0LL, 1LL, 999LL, 1'000LL, 250'000'000LL, 90'000'000'000LL,
                                  3'600'000'000'000LL, 9'223'372'036'854'775'807LL}) {
        const auto text = config::duration_text(timespan{ns});
        EXPECT_EQ(config::parse_duration(text).value().count(), ns) << text;
    }
    EXPECT_EQ(config::duration_text(1min), "1min");
    EXPECT_EQ(config::duration_text(90s), "90s");
    EXPECT_EQ(config::parse_duration("5 us").value(), 5us);
    for (const auto* text :
         {"", "1", "s", "-1s", "1.5s", "1 fortnight", "9999999999h", "1s ", " 1s"}) {
        EXPECT_FALSE(config::parse_duration(text)) << text;
    }
    for (const std::uint64_t bytes :
         {std::uint64_t{0}, std::uint64_t{1023}, std::uint64_t{1024}, std::uint64_t{3} << 30}) {
        EXPECT_EQ(config::parse_size(config::size_text(bytes)).value(), bytes);
    }
    EXPECT_EQ(config::size_text(64 << 10), "64KiB");
    for (const auto* text :
         {"", "KiB", "1kB", "-1", "0x10", "99999999999999999999", "9999999999GiB"}) {
        EXPECT_FALSE(config::parse_size(text)) << text;
    }
}

TEST_F(configuration_test, names_of_policies_and_levels_read_back) {
    for (const auto policy : {overflow_policy::block, overflow_policy::drop_newest,
                              overflow_policy::drop_oldest, overflow_policy::disconnect}) {
        EXPECT_EQ(parse_overflow_policy(to_string(policy)), policy);
    }
    for (const auto level : {log_level::off, log_level::error, log_level::warning, log_level::info,
                             log_level::debug}) {
        EXPECT_EQ(parse_log_level(to_string(level)), level);
    }
    EXPECT_FALSE(parse_overflow_policy("unspecified"));
    EXPECT_FALSE(parse_log_level(""));
}

TEST_F(configuration_test, the_table_covers_every_option_with_its_default_in_range) {
    const auto help = configuration::help_text();
    for (const auto& known : config::options()) {
        EXPECT_TRUE(config::check({}, known)) << known.key;
        EXPECT_THAT(help, HasSubstr("--bzmq." + std::string{known.key} + '='));
        endpoint_options options;
        const auto text = config::default_text(known);
        if (text != "[]") {
            EXPECT_TRUE(config::set_from_text(options, known, text)) << known.key;
            EXPECT_EQ(options, endpoint_options{}) << known.key;
        }
    }
}

TEST_F(configuration_test, help_is_printed_where_asked_for) {
    configuration cfg;
    testing::internal::CaptureStdout();
    EXPECT_TRUE(init(cfg, {"--help-bzmq"}));
    EXPECT_EQ(testing::internal::GetCapturedStdout(), configuration::help_text());
    EXPECT_TRUE(cfg.cli_helptext_printed());
}

TEST_F(configuration_test, the_documented_table_is_the_one_in_the_source) {
    std::ifstream file{source_dir() + "/docs/configuration.md"};
    std::stringstream text;
    text << file.rdbuf();
    // The failure prints the table to paste.
    EXPECT_THAT(text.str(), HasSubstr(config::markdown_table()));
}

}  // namespace
}  // namespace bzmq
