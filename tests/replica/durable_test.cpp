// Masters with a disk, and what becomes of clones' commands when things go wrong.
#include <gtest/gtest.h>

#include "base/prng.hpp"
#include "replica/room.hpp"

namespace bzmq::replica::testing {
namespace {

using namespace std::chrono_literals;

const data one{count{1}};

master_options on_disk() {
    master_options out;
    out.durable = true;
    return out;
}

message_type type_of(std::span<const std::byte> message) {
    byte_reader in{message};
    return read_head(in)->type;
}

TEST(durable, an_answer_comes_when_the_disk_has_the_entry) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s", on_disk());
    a.disk_waits = true;
    a.write(master, 1, make_command(operation::put, "x", one));
    around.settle();
    EXPECT_FALSE(a.answers.contains(1));
    EXPECT_TRUE(a.content(master).empty());
    a.disk_waits = false;
    around.settle();
    EXPECT_EQ(a.answers[1], ec::none);
    EXPECT_EQ(a.content(master).size(), 1U);
}

TEST(durable, what_waits_for_the_disk_is_built_upon) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s", on_disk());
    a.disk_waits = true;
    for (ticket each = 1; each <= 3; ++each) {
        a.write(master, each, make_command(operation::add, "n", one));
    }
    a.write(master, 4, make_command(operation::put_unique, "n", one));
    around.settle();
    EXPECT_EQ(a.answers[4], ec::key_exists);
    a.disk_waits = false;
    around.settle();
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"n", count{3}}}));
}

TEST(durable, a_full_disk_fails_writes_and_undoes_them) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s", on_disk());
    const auto clone = b.clone("s");
    a.write(master, 1, make_command(operation::put, "x", one));
    around.settle();
    a.disk_full = true;
    a.write(master, 2, make_command(operation::put, "x", "lost"));
    b.write(clone, 3, make_command(operation::put, "y", "lost"));
    around.settle();
    EXPECT_EQ(a.answers[2], ec::backend_failure);
    EXPECT_EQ(b.answers[3], ec::backend_failure);
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"x", one}}));
    a.disk_full = false;
    a.write(master, 4, make_command(operation::put, "z", one));
    b.write(clone, 5, make_command(operation::add, "x", one));
    around.settle();
    EXPECT_EQ(b.answers[5], ec::none);
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"x", count{2}}, {"z", one}}));
}

TEST(durable, what_should_have_gone_when_the_disk_was_full_goes_later) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s", on_disk());
    a.write(master, 0, make_command(operation::put, "x", one, {}, 100ms));
    a.write(master, 0, make_command(operation::put, "y", one, {}, 100ms));
    around.settle();
    a.disk_full = true;
    a.write(master, 1, make_command(operation::clear));
    around.pass(300ms);
    EXPECT_EQ(a.answers[1], ec::backend_failure);
    EXPECT_EQ(a.content(master).size(), 2U);
    EXPECT_LT(a.reports.size(), 5U) << "it tries as fast as the disk fails";
    a.disk_full = false;
    around.pass(1500ms);
    EXPECT_TRUE(a.content(master).empty());
}

TEST(durable, a_clone_hears_of_a_failed_write_although_the_word_of_it_was_lost) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    a.master("s", on_disk());
    const auto clone = b.clone("s");
    around.settle();
    a.disk_full = true;
    bool lose = true;
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::failed && std::exchange(lose, false);
    };
    b.write(clone, 1, make_command(operation::put, "x", one));
    around.settle();
    EXPECT_FALSE(b.answers.contains(1));
    around.pass(1500ms);
    EXPECT_EQ(b.answers[1], ec::backend_failure);
}

TEST(durable, a_write_that_failed_is_not_done_when_its_neighbour_is_sent_again) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    a.master("s", on_disk());
    const auto clone = b.clone("s");
    around.settle();
    // The first one is done, and the clone does not see it; the second one fails.
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::log;
    };
    b.write(clone, 1, make_command(operation::put, "first", one));
    around.settle();
    a.disk_full = true;
    b.write(clone, 2, make_command(operation::put, "second", one));
    around.settle();
    EXPECT_EQ(b.answers, (std::map<ticket, ec>{{2, ec::backend_failure}}));
    // The next master has never heard of the second one.
    a.disk_full = false;
    a.restart();
    const auto again = a.master("s", on_disk());
    around.pass(5s);
    around.lose = {};
    around.pass(5s);
    EXPECT_EQ(b.answers[1], ec::none);
    EXPECT_EQ(a.content(again), (std::map<data, data>{{"first", one}}));
}

TEST(durable, a_failed_write_is_not_taken_for_part_of_a_snapshot) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    auto options = on_disk();
    options.log_bytes = 0;
    const auto master = a.master("s", options);
    const auto clone = b.clone("s");
    around.settle();
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::failed || type_of(message) == message_type::log;
    };
    a.disk_full = true;
    b.write(clone, 1, make_command(operation::put, "first", one));
    around.settle();
    a.disk_full = false;
    b.write(clone, 2, make_command(operation::put, "second", one));
    around.settle();
    EXPECT_TRUE(b.answers.empty());
    around.apart.insert(b.id);
    around.pass(15s);
    around.apart.clear();
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::failed;
    };
    around.pass(15s);
    EXPECT_EQ(b.answers, (std::map<ticket, ec>{{1, ec::backend_failure}, {2, ec::none}}));
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"second", one}}));
}

TEST(durable, an_acknowledgement_of_an_earlier_attachment_does_not_end_a_snapshot) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    master_options options;
    options.log_bytes = 0;
    const auto master = a.master("s", options);
    const auto clone = b.clone("s");
    a.write(master, 0, make_command(operation::put, "x", one));
    around.settle();
    std::vector<world::letter> late;
    around.lose = [&](std::span<const std::byte> message) {
        if (type_of(message) == message_type::ack) {
            late.push_back({b.id, a.id, {message.begin(), message.end()}});
        }
        return false;
    };
    around.pass(2s);
    ASSERT_FALSE(late.empty());
    around.apart.insert(b.id);
    a.write(master, 0, make_command(operation::put, "y", one));
    around.pass(15s);
    around.apart.clear();
    // It takes a snapshot; the chunks get lost, and old acknowledgements come.
    around.lose = [](std::span<const std::byte> message) {
        return type_of(message) == message_type::chunk;
    };
    for (int i = 0; i < 200; ++i) {
        around.pass(50ms);
        for (const auto& each : late) {
            around.deliver(each);
        }
    }
    EXPECT_TRUE(b.clone_of(clone).in_snapshot());
    around.lose = {};
    around.pass(2s);
    EXPECT_EQ(b.content(clone).size(), 2U);
}

TEST(durable, clones_go_on_with_the_log_when_their_master_starts_again) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s", on_disk());
    const auto clone = b.clone("s");
    for (count n = 0; n < 100; ++n) {
        a.write(master, 0, make_command(operation::put, n, n));
    }
    around.settle();
    unsigned chunks = 0;
    around.lose = [&](std::span<const std::byte> message) {
        chunks += type_of(message) == message_type::chunk ? 1U : 0U;
        return false;
    };
    a.restart();
    const auto again = a.master("s", on_disk());
    a.write(again, 0, make_command(operation::put, "new", one));
    around.pass(2s);
    EXPECT_EQ(chunks, 0U);
    EXPECT_EQ(b.content(clone).size(), 101U);
    EXPECT_EQ(b.clone_of(clone).chain(), a.master_of(again).chain());
}

TEST(durable, a_write_under_way_is_done_once_when_its_master_starts_again) {
    for (const bool kept : {false, true}) {
        world around;
        auto& a = around.add();
        auto& b = around.add();
        a.master("s", on_disk());
        const auto clone = b.clone("s");
        around.settle();
        a.disk_waits = true;
        for (ticket each = 1; each <= 5; ++each) {
            b.write(clone, each, make_command(operation::add, "n", one));
        }
        around.settle();
        EXPECT_TRUE(b.answers.empty());
        a.restart(kept);
        a.disk_waits = false;
        const auto again = a.master("s", on_disk());
        around.pass(5s);
        EXPECT_EQ(b.answers.size(), 5U);
        EXPECT_EQ(a.content(again), (std::map<data, data>{{"n", count{5}}})) << kept;
        EXPECT_EQ(b.content(clone), a.content(again));
    }
}

TEST(durable, commands_of_an_earlier_attachment_come_too_late) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    master_options forgetful = on_disk();
    forgetful.writer_timeout = 2s;
    forgetful.clone_timeout = 1s;
    forgetful.heartbeat_interval = 200ms;
    const auto master = a.master("s", forgetful);
    clone_options hasty;
    hasty.mutation_buffer_interval = 500ms;
    const auto clone = b.clone("s", hasty);
    around.settle();
    std::vector<world::letter> late;
    b.write(clone, 1, make_command(operation::add, "n", one));
    around.lose = [&](std::span<const std::byte> message) {
        if (type_of(message) == message_type::write) {
            late.push_back({b.id, a.id, {message.begin(), message.end()}});
        }
        return false;
    };
    around.settle();
    around.lose = {};
    EXPECT_EQ(b.answers[1], ec::none);
    // The master forgets the clone and its numbers, and takes it on again; then a copy of the
    // command comes.
    around.apart.insert(b.id);
    around.pass(10s);
    around.apart.clear();
    around.pass(15s);
    ASSERT_TRUE(b.clone_of(clone).status().attached);
    ASSERT_EQ(late.size(), 1U);
    for (const auto& each : late) {
        around.deliver(each);
    }
    around.pass(10s);
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"n", one}}));
}

TEST(durable, a_clone_learns_from_the_log_that_it_is_forgotten) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    auto& c = around.add();
    master_options forgetful;
    forgetful.writer_timeout = 4s;
    forgetful.clone_timeout = 1s;
    const auto master = a.master("s", forgetful);
    const auto clone = b.clone("s");
    const auto other = c.clone("s");
    around.settle();
    b.write(clone, 1, make_command(operation::add, "n", one));
    around.settle();
    around.apart.insert(b.id);
    around.pass(20s);
    // Another one gets its short name in the log.
    for (ticket each = 10; each < 20; ++each) {
        c.write(other, each, make_command(operation::add, "n", one));
    }
    around.settle();
    around.apart.clear();
    b.write(clone, 2, make_command(operation::add, "n", one));
    around.pass(20s);
    EXPECT_EQ(b.answers[2], ec::none);
    EXPECT_EQ(b.values[2], data{count{12}}) << "the answer is another writer's";
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"n", count{12}}}));
}

TEST(durable, a_master_that_ends_answers_what_is_under_way) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s", on_disk());
    a.disk_waits = true;
    a.write(master, 1, make_command(operation::put, "x", one));
    around.settle();
    a.write(master, 2, make_command(operation::put, "y", one));
    a.stores->detach(master);
    EXPECT_EQ(a.answers[1], ec::request_timeout) << "it is on its way to the disk";
    EXPECT_EQ(a.answers[2], ec::shutting_down) << "nobody has it";
}

TEST(durable, a_master_that_ends_does_not_say_no_to_what_a_standby_may_have) {
    world around;
    auto& a = around.add();
    master_options in_memory;
    in_memory.sync_replicas = 1;
    const auto master = a.master("s", in_memory);
    a.write(master, 1, make_command(operation::put, "x", one));
    around.settle();
    a.stores->detach(master);
    EXPECT_EQ(a.answers[1], ec::request_timeout);
}

TEST(durable, two_masters_find_each_other_although_claims_get_lost) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto first = a.master("s");
    auto hidden = std::exchange(a.services, {});
    const auto second = b.master("s");
    a.services = hidden;
    a.write(first, 0, make_command(operation::put, "x", one));
    int lost = 0;
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::claim && ++lost <= 6;
    };
    around.settle();
    around.pass(5s);
    EXPECT_EQ(b.ends[second], ec::master_exists);
    EXPECT_FALSE(a.ends.contains(first));
}

TEST(durable, a_clone_that_moves_to_another_store_does_not_do_there_what_the_first_may_do) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    auto& c = around.add();
    a.master("s");
    const auto clone = c.clone("s");
    around.settle();
    // The command reaches the first master; its answer does not come.
    around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::log;
    };
    c.write(clone, 1, make_command(operation::add, "n", one));
    around.settle();
    around.lose = {};
    around.apart = {b.id, c.id};
    a.services.clear();
    const auto second = b.master("s");
    around.pass(15s);
    EXPECT_EQ(c.answers[1], ec::request_timeout);
    EXPECT_TRUE(b.content(second).empty());
    c.write(clone, 2, make_command(operation::add, "n", one));
    around.pass(1s);
    EXPECT_EQ(c.answers[2], ec::none);
}

}  // namespace
}  // namespace bzmq::replica::testing
