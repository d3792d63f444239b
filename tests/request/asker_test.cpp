// The asker's machine by itself: time and answers by hand.
#include "request/asker.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bzmq::request_wire {
namespace {

using namespace std::chrono_literals;

const endpoint_id first{{1}};
const endpoint_id second{{2}};

struct recorder final : asker_output {
    std::vector<std::string> told;
    void answered(std::uint64_t id, const endpoint_id& from, expected<data> value) override {
        told.push_back(std::to_string(id) + (from == first ? " first " : " second ")
                       + (value ? to_text(*value) : std::string{to_string(value.error().code())}));
    }
    void finished(std::uint64_t id, error why, bool tell_servers) override {
        told.push_back(std::to_string(id) + " ends " + std::string{to_string(why.code())}
                       + (tell_servers ? ", tell" : ""));
    }
    std::vector<std::string> take() { return std::exchange(told, {}); }
};

using lines = std::vector<std::string>;

class asking : public ::testing::Test {
  protected:
    std::uint64_t ask(std::size_t wanted, std::vector<endpoint_id> servers,
                      instant deadline = 10s) {
        const auto id = machine.begin(deadline, wanted);
        machine.set_servers(id, std::move(servers));
        return id;
    }
    void answer(const endpoint_id& from, std::uint64_t id, kind what, data value = {}) {
        machine.received(from, {what, id, {}, std::move(value), {ec::type_clash, ""}});
    }
    recorder out;
    asker machine{out};
};

TEST_F(asking, one_answer_ends_a_request_and_the_other_servers_are_told) {
    const auto id = ask(1, {first, second});
    answer(first, id, kind::last, 5U);
    EXPECT_EQ(out.take(), (lines{"1 first 5", "1 ends none, tell"}));
    answer(second, id, kind::last, 6U);
    EXPECT_EQ(out.take(), lines{});
    EXPECT_EQ(machine.late(), 1U);
    EXPECT_EQ(machine.next_deadline(), never);
}

TEST_F(asking, an_error_leaves_the_others_their_turn) {
    const auto id = ask(1, {first, second});
    answer(first, id, kind::failed);
    EXPECT_EQ(out.take(), lines{"1 first type_clash"});
    answer(second, id, kind::last, 6U);
    EXPECT_EQ(out.take(), (lines{"1 second 6", "1 ends none"}));
}

TEST_F(asking, all_answers_end_when_every_server_has_ended_its_own) {
    const auto id = ask(0, {first, second});
    answer(first, id, kind::more, 1U);
    answer(second, id, kind::end);
    answer(first, id, kind::more, 2U);
    EXPECT_EQ(out.take(), (lines{"1 first 1", "1 first 2"}));
    answer(first, id, kind::last, 3U);
    EXPECT_EQ(out.take(), (lines{"1 first 3", "1 ends none"}));
}

TEST_F(asking, time_is_up_at_the_deadline_and_not_before) {
    ask(1, {first}, 10s);
    ask(1, {first}, 5s);
    EXPECT_EQ(machine.next_deadline(), 5s);
    machine.tick(5s - 1ns);
    EXPECT_EQ(out.take(), lines{});
    machine.tick(5s);
    EXPECT_EQ(out.take(), (lines{"2 ends request_timeout, tell"}));
    EXPECT_EQ(machine.next_deadline(), 10s);
    machine.tick(never - 1ns);
    EXPECT_EQ(out.take(), (lines{"1 ends request_timeout, tell"}));
    ask(1, {first}, never);
    machine.tick(never - 1ns);
    EXPECT_EQ(out.take(), lines{});
}

TEST_F(asking, a_server_that_is_gone_has_ended) {
    ask(1, {first, second});
    machine.unreachable(first);
    EXPECT_EQ(out.take(), lines{"1 first no_path_to_peer"});
    machine.unreachable(first);
    EXPECT_EQ(out.take(), lines{});
    machine.unreachable(second);
    EXPECT_EQ(out.take(), (lines{"1 second no_path_to_peer", "1 ends none"}));
}

TEST_F(asking, what_happens_before_the_servers_are_known_counts) {
    const auto id = machine.begin(10s, 0);
    machine.unreachable(first);
    answer(second, id, kind::last, 7U);
    EXPECT_EQ(out.take(), lines{"1 second 7"});
    machine.set_servers(id, {first, second});
    EXPECT_EQ(out.take(), (lines{"1 first no_path_to_peer", "1 ends none"}));
}

TEST_F(asking, a_server_that_ended_and_then_went_is_no_failure) {
    const auto id = machine.begin(10s, 0);
    answer(first, id, kind::last, 7U);
    machine.unreachable(first);
    machine.set_servers(id, {first});
    EXPECT_EQ(out.take(), (lines{"1 first 7", "1 ends none"}));
}

TEST_F(asking, nobody_there_is_told_at_once) {
    ask(1, {});
    EXPECT_EQ(out.take(), lines{"1 ends no_path_to_peer"});
}

TEST_F(asking, cancelling_and_closing_end_requests_once) {
    const auto id = ask(1, {first});
    ask(1, {second});
    machine.end(id, ec::cancelled);
    machine.end(id, ec::cancelled);
    EXPECT_EQ(out.take(), lines{"1 ends cancelled, tell"});
    machine.end_all(ec::shutting_down);
    EXPECT_EQ(out.take(), lines{"2 ends shutting_down, tell"});
    EXPECT_EQ(machine.open(), 0U);
}

TEST_F(asking, an_answer_of_somebody_unknown_counts_as_well) {
    const auto id = ask(2, {first});
    answer(second, id, kind::last, 1U);
    answer(first, id, kind::more, 2U);
    EXPECT_EQ(out.take(), (lines{"1 second 1", "1 first 2", "1 ends none, tell"}));
}

}  // namespace
}  // namespace bzmq::request_wire
