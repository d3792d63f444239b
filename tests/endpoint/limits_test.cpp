// What an endpoint refuses because others could not be told of it.
#include <future>

#include "endpoint/support.hpp"
#include "overlay/limits.hpp"
namespace bzmq::testing {
namespace {

std::vector<std::string> distinct_topics(std::size_t count) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) {
        out.push_back("/" + std::to_string(i) + "/");
    }
    return out;
}

TEST(limits, a_subscriber_that_fits_no_record_has_ended_from_the_start) {
    auto ep = make("full");
    auto most = ep.make_subscriber(distinct_topics(overlay::prefixes_max));
    EXPECT_FALSE(most.ended());
    auto covered = ep.make_subscriber({"/1/sub", "/2/sub"});
    EXPECT_FALSE(covered.ended()) << "others learn of nothing new";
    auto more = ep.make_subscriber({"/more"});
    EXPECT_TRUE(more.ended());
    EXPECT_EQ(more.last_error(), ec::invalid_topic);
    EXPECT_NE(more.last_error().message().find("65537 topic prefixes"), std::string::npos);
    EXPECT_EQ(ep.forward({"/more"}).error(), ec::invalid_topic);
    most.close();
    EXPECT_TRUE(eventually([&] { return !ep.make_subscriber({"/more"}).ended(); }));
    EXPECT_TRUE(ep.forward({"/more"}));
}

TEST(limits, a_topic_that_does_not_fit_changes_nothing) {
    auto publisher = make("publisher");
    auto ep = make("full");
    join(ep, publisher);
    auto most = ep.make_subscriber(distinct_topics(overlay::prefixes_max));
    error why;
    EXPECT_FALSE(most.add_topic("/more", &why));
    EXPECT_EQ(why, ec::invalid_topic);
    EXPECT_FALSE(most.add_topic("/1/", &why));
    EXPECT_FALSE(why) << "it has that one";
    EXPECT_EQ(most.topics().size(), overlay::prefixes_max);
    ASSERT_TRUE(publisher.wait_for_subscriber("/65535/x", 1, patience));
    EXPECT_FALSE(publisher.wait_for_subscriber("/more", 1, 0s));
    publisher.publish("/65535/x", 1, delivery_mode::reliable);
    EXPECT_TRUE(most.get(patience));
    ASSERT_TRUE(most.remove_topic("/1/"));
    EXPECT_TRUE(most.add_topic("/more", &why)) << to_string(why);
    EXPECT_TRUE(publisher.wait_for_subscriber("/more", 1, patience));
}

TEST(limits, a_topic_too_long_for_any_message_is_refused) {
    auto ep = make("long");
    EXPECT_FALSE(ep.make_subscriber({std::string(65'535, 't')}).ended());
    EXPECT_EQ(ep.make_subscriber({std::string(65'536, 't')}).last_error(), ec::invalid_topic);
    error reason;
    std::promise<void> ended;
    auto worker = ep.subscribe(
        {std::string(65'536, 't')}, {}, {}, [&](const error& why) {
            reason = why;
            ended.set_value();
        });
    ASSERT_EQ(ended.get_future().wait_for(patience), std::future_status::ready);
    EXPECT_EQ(reason, ec::invalid_topic);
}

}  // namespace
}  // namespace bzmq::testing
