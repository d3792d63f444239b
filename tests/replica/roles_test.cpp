// Who may be master, and who is told that it may not: refused masters, promotions that end without
// success, electors that are there twice; and what is kept of what a new master does not have.
#include <gtest/gtest.h>

#include "replica/cast.hpp"

namespace bzmq::replica::testing {
namespace {

message_type type_of(std::span<const std::byte> message) {
    byte_reader in{message};
    return read_head(in)->type;
}

std::size_t count_of(const place& at, ec code, std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(at.reports.begin(), at.reports.end(), [&](const error& each) {
            return each == code && each.message().find(text) != std::string::npos;
        }));
}

// -- Second masters -------------------------------------------------------------------------------

TEST(roles, the_master_is_told_of_who_wanted_to_be_a_second_one) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto first = a.master("s");
    a.write(first, 0, make_command(operation::put, "x", one));
    error why;
    b.master("s", {}, &why);
    EXPECT_EQ(why, ec::master_exists);
    EXPECT_NE(why.message().find(to_string(a.id)), std::string::npos);
    around.settle();
    ASSERT_EQ(count_of(a, ec::master_exists, to_string(b.id)), 1U);
    EXPECT_NE(a.reports.back().message().find("refused"), std::string::npos);
    EXPECT_TRUE(b.reports.empty()) << "its caller has the error";
    EXPECT_FALSE(a.ends.contains(first));
    EXPECT_EQ(a.content(first).size(), 1U);
}

TEST(roles, who_tries_to_be_a_second_master_all_the_time_floods_nobody) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    a.master("s");
    std::size_t claims = 0;
    around.lose = [&](std::span<const std::byte> message) {
        claims += type_of(message) == message_type::claim ? 1 : 0;
        return false;
    };
    around.looker = b.id;
    for (int i = 0; i < 300; ++i) {
        for (int j = 0; j < 10; ++j) {
            EXPECT_EQ(b.stores->ask_for_master(around.now, "s", around), ec::master_exists);
        }
        around.pass(100ms);
        around.looker = b.id;
    }
    EXPECT_GE(claims, 25U);
    EXPECT_LE(claims, 31U);
    EXPECT_GE(count_of(a, ec::master_exists, "second master"), 2U);
    EXPECT_LE(count_of(a, ec::master_exists, "second master"), 4U);
    EXPECT_GE(count_of(a, ec::master_exists, "such attempts since"), 1U) << "none is passed over";
}

TEST(roles, a_refused_master_says_nothing_where_it_is_the_own_endpoint_that_has_it) {
    world around;
    auto& a = around.add();
    a.master("s");
    around.looker = a.id;
    EXPECT_EQ(a.stores->ask_for_master(around.now, "s", around), ec::master_exists);
    around.settle();
    EXPECT_TRUE(a.reports.empty());
}

TEST(roles, two_masters_that_meet_are_reported_once_however_often_they_claim) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto stays = a.master("s");
    a.write(stays, 0, make_command(operation::put, "x", one));
    for (int i = 0; i < 5; ++i) {
        const auto claim = encode("s", claim_message{b.id, epoch_after_start(0, b.id), 0});
        a.stores->received(around.now, around.wall, b.id, claim);
    }
    EXPECT_EQ(count_of(a, ec::master_exists, "second master"), 1U);
    around.now += 10s;
    const auto claim = encode("s", claim_message{b.id, epoch_after_start(0, b.id), 0});
    a.stores->received(around.now, around.wall, b.id, claim);
    EXPECT_EQ(count_of(a, ec::master_exists, "second master"), 2U);
}

// -- Masters of another store -----------------------------------------------------------------------

TEST(roles, a_copy_of_a_durable_master_is_kept_when_a_master_in_memory_takes_its_name) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto first = a.master("s", cast::master_part(0));
    a.write(first, 0, make_command(operation::put, "x", one));
    clone_options how;
    how.stale_interval = 5s;
    const auto copy = b.clone("s", how);
    b.watching = true;
    around.pass(1s);
    ASSERT_EQ(b.content(copy).size(), 1U);
    b.changes.clear();
    a.restart();
    const auto wrong = a.master("s");  // Its operator forgot the folder.
    around.pass(10s);
    EXPECT_EQ(b.content(copy).size(), 1U);
    EXPECT_TRUE(b.changes.empty());
    EXPECT_TRUE(b.statuses[copy].stale);
    EXPECT_EQ(count_of(b, ec::stale_data, "the copy is kept"), 1U);
    a.write(wrong, 0, make_command(operation::put, "y", one));
    around.pass(10s);
    EXPECT_EQ(b.content(copy), (std::map<data, data>{{"x", one}})) << "nor when it has something";
    // The right one comes back.
    a.restart();
    const auto right = a.master("s", cast::master_part(0));
    a.write(right, 0, make_command(operation::put, "z", one));
    around.pass(12s);
    EXPECT_EQ(b.content(copy), (std::map<data, data>{{"x", one}, {"z", one}}));
    EXPECT_FALSE(b.statuses[copy].stale);
    // And where that is what its operator wants, it follows.
    a.restart();
    a.master("s");
    around.pass(1s);
    b.clone_of(copy).accept_new_store(around.now);
    around.pass(1s);
    EXPECT_TRUE(b.content(copy).empty());
    EXPECT_EQ(count_of(b, ec::stale_data, "the copy, 2 entries, is given up"), 1U);
}

TEST(roles, a_clone_says_how_much_it_gives_up_for_the_next_master_in_memory) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto first = a.master("s");
    const auto copy = b.clone("s");
    around.pass(1s);
    EXPECT_TRUE(b.reports.empty()) << "it had nothing";
    a.write(first, 0, make_command(operation::put, "x", one));
    around.pass(1s);
    a.restart();
    a.master("s");
    around.pass(2s);
    EXPECT_TRUE(b.content(copy).empty());
    ASSERT_EQ(b.reports.size(), 1U);
    EXPECT_EQ(count_of(b, ec::stale_data, "the copy, 1 entry, is given up"), 1U);
}

TEST(roles, a_clone_without_pauses_between_its_attempts_floods_no_master) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    a.master("s");
    for (const auto pause : {0ns, 1ns, -1ns}) {
        clone_options how;
        how.resync_interval = pause;
        const auto copy = b.clone("s", how);
        std::size_t attempts = 0;
        around.lose = [&](std::span<const std::byte> message) {
            attempts += type_of(message) == message_type::attach ? 1 : 0;
            return true;
        };
        b.stores->tick(around.now, around.wall);
        EXPECT_GT(b.stores->next_deadline(), around.now);
        around.pass(2s);
        EXPECT_LE(attempts, 21U);
        EXPECT_GE(attempts, 10U);
        b.stores->detach(copy);
        around.lose = {};
        around.settle();
    }
}

// -- Promotions -----------------------------------------------------------------------------------

TEST(roles, a_promotion_that_its_disk_holds_up_ends_and_the_standby_follows_again) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    b.disk_waits = true;
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(500ms);
    ASSERT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1], 5s));
    all.around.pass(4s);
    EXPECT_TRUE(b.clone_of(all.id[1]).promoting());
    EXPECT_FALSE(b.clone_of(all.id[1]).status().attached);
    all.around.pass(2s);
    EXPECT_FALSE(b.clone_of(all.id[1]).promoting());
    EXPECT_EQ(b.clone_of(all.id[1]).promotion_problem(), ec::request_timeout);
    EXPECT_EQ(count_of(b, ec::request_timeout, "did not become master"), 1U);
    EXPECT_EQ(all.masters(), std::vector{0U});
    EXPECT_TRUE(b.clone_of(all.id[1]).status().attached) << "it is a standby as before";
    b.disk_waits = false;
    a.write(all.id[0], 0, make_command(operation::put, "y", one));
    all.around.pass(2s);
    EXPECT_EQ(b.content(all.id[1]).size(), 2U);
    EXPECT_EQ(all.masters(), std::vector{0U});
    // And it may be tried again.
    ASSERT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1], 5s));
    all.around.pass(2s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_FALSE(a.answers.contains(0));
}

TEST(roles, a_promotion_without_a_limit_of_its_own_ends_after_the_option_s) {
    cast all{1, 0};
    auto& b = *all.at[1];
    b.disk_waits = true;
    all.at[0]->write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(500ms);
    all.around.mail.push_back({all.at[0]->id, b.id, encode_promote("s")});
    all.around.pass(29s);
    EXPECT_TRUE(b.clone_of(all.id[1]).promoting());
    all.around.pass(2s);
    EXPECT_FALSE(b.clone_of(all.id[1]).promoting());
}

TEST(roles, a_newer_master_ends_a_promotion_that_its_disk_holds_up) {
    cast all{2, 0};
    auto& b = *all.at[1];
    b.disk_waits = true;
    all.at[0]->write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(500ms);
    ASSERT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1], 1h));
    all.around.pass(3s);
    EXPECT_TRUE(b.clone_of(all.id[1]).promoting()) << "the one that it is to replace is no newer one";
    // The other one becomes master twice over, and so surely of a higher epoch.
    ASSERT_FALSE(all.at[2]->stores->promote(all.around.now, all.around.wall, all.id[2]));
    all.around.pass(3s);
    ASSERT_FALSE(all.at[0]->stores->promote(all.around.now, all.around.wall, all.id[0]));
    all.around.pass(3s);
    EXPECT_FALSE(b.clone_of(all.id[1]).promoting());
    EXPECT_EQ(b.clone_of(all.id[1]).promotion_problem(), ec::master_exists);
    EXPECT_EQ(count_of(b, ec::master_exists, "has a newer one"), 1U);
    b.disk_waits = false;
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{0U});
    EXPECT_TRUE(b.clone_of(all.id[1]).status().attached);
}

// -- Promises -------------------------------------------------------------------------------------

TEST(roles, a_promise_goes_with_the_store_that_it_was_for_in_one_write) {
    cast all{2, 1, true};
    all.kill(0);
    all.around.pass(30s);
    ASSERT_EQ(all.masters().size(), 1U);
    const auto heir = all.masters()[0];
    const auto other = 3 - heir;
    auto& b = *all.at[other];
    ASSERT_NE(b.disk_of("s").vote.epoch, 0U);
    all.at[heir]->restart();
    all.at[heir]->disks.clear();
    all.at[heir]->master("s", cast::master_part(0));
    all.around.pass(2s);
    b.clone_of(all.id[other]).accept_new_store(all.around.now);
    // Its process dies when the other store is on its disk, before it hears of that.
    b.disk_waits = true;
    all.around.pass(5s);
    ASSERT_FALSE(b.work.empty());
    const auto former = b.disk_of("s").who.store;
    b.restart(true);
    ASSERT_NE(b.disk_of("s").who.store, former);
    EXPECT_EQ(b.disk_of("s").vote, vote_record{});
}

TEST(roles, nobody_promises_anything_while_its_disk_gets_another_store) {
    cast all{2, 1, true};
    all.kill(0);
    all.around.pass(30s);
    ASSERT_EQ(all.masters().size(), 1U);
    const auto heir = all.masters()[0];
    const auto other = 3 - heir;
    auto& b = *all.at[other];
    const auto former = b.disk_of("s").who.store;
    all.at[heir]->restart();
    all.at[heir]->disks.clear();
    all.at[heir]->master("s", cast::master_part(0));
    all.around.pass(2s);
    b.clone_of(all.id[other]).accept_new_store(all.around.now);
    b.disk_waits = true;
    all.around.pass(60s);
    ASSERT_EQ(b.work.size(), 1U) << "the snapshot";
    ask_vote_message question;
    question.store = former;
    question.candidate = "e0";
    question.epoch = epoch_after_promotion(b.clone_of(all.id[other]).promised() << 1, former);
    question.rank = {question.epoch, 1'000};
    all.around.apart = {b.id};
    all.around.now += 60s;  // It hears nobody.
    b.stores->tick(all.around.now, all.around.wall);
    b.stores->received(all.around.now, all.around.wall, all.at[0]->id, encode("s", question));
    b.stores->flush(all.around.now, all.around.wall);
    EXPECT_EQ(b.work.size(), 1U) << "it would count in the other store";
}

// -- Electors that are there twice ----------------------------------------------------------------

TEST(roles, two_endpoints_under_one_elector_s_name_are_told_of_everywhere) {
    cast all{2, 1, true};
    auto& twin = all.around.add();
    const auto at = twin.standby("s", all.standby_part(1, 1, true));
    all.around.pass(5s);
    EXPECT_EQ(count_of(*all.at[0], ec::invalid_configuration, "e1"), 0U)
        << "one that starts again may be there twice for a while";
    all.around.pass(10s);
    for (const auto* each : {all.at[0], all.at[1], all.at[2], &twin}) {
        EXPECT_EQ(count_of(*each, ec::invalid_configuration, "\"e1\""), 1U);
        EXPECT_NE(each->reports.back().message().find(to_string(twin.id)), std::string::npos);
        EXPECT_NE(each->reports.back().message().find(to_string(all.at[1]->id)), std::string::npos);
    }
    // Neither of their disks counts: one may vote that does not have what the other one has.
    auto& a = *all.at[0];
    all.at[2]->disk_waits = true;
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(2s);
    EXPECT_FALSE(a.answers.contains(1));
    // One of them goes.
    twin.stores->detach(at);
    all.around.pass(1s);
    EXPECT_EQ(a.answers[1], ec::none);
}

TEST(roles, votes_under_a_name_that_two_go_by_elect_nobody) {
    cast all{2, 1, true};
    auto& a = *all.at[0];
    auto& twin = all.around.add();
    const auto at = twin.standby("s", all.standby_part(1, 1, true));
    all.around.pass(1s);
    // The third one and the twin lack a write that the second one has.
    all.around.apart = {all.at[2]->id, twin.id};
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    ASSERT_EQ(a.answers[1], ec::none);
    all.kill(0);
    // With the twin's vote the third one would have a majority.
    all.around.apart = {a.id};
    all.around.pass(60s);
    EXPECT_TRUE(all.masters().empty());
    EXPECT_EQ(twin.stores->master_of(at), nullptr);
    all.around.apart.insert(twin.id);
    all.around.pass(60s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(all.at[1]->content(all.id[1]).size(), 1U);
}

TEST(roles, one_endpoint_is_not_an_elector_twice) {
    cast all{2, 1, true};
    auto& a = *all.at[0];
    place::held more;
    auto options = all.standby_part(0, 1, true);
    options.name = "s";
    options.standby = true;
    options.self = writer_id{endpoint_id::bytes_type{77}};
    EXPECT_EQ(a.stores->attach_clone(all.around.now, 999, options, more.values, more.gate,
                                     all.around),
              ec::invalid_configuration);
}

TEST(roles, a_master_attached_beside_a_standby_ends_its_promotion) {
    world around;
    auto& b = around.add();
    b.disk_of("s").who = {endpoint_id{endpoint_id::bytes_type{50}}, {{1, 1}}};
    const auto standby = b.standby("s");
    b.write(standby, 1, make_command(operation::put, "x", one));
    b.disk_waits = true;
    b.stores->flush(around.now, around.wall);
    ASSERT_EQ(b.clone_of(standby).promote(around.now), ec::none);
    const auto master = b.master("s");
    b.disk_waits = false;
    around.pass(1s);
    EXPECT_EQ(b.clone_of(standby).promotion_problem(), ec::master_exists);
    EXPECT_FALSE(b.clone_of(standby).promoting());
    EXPECT_FALSE(b.master_of(master).fenced());
    EXPECT_GT(b.stores->next_deadline(), around.now) << "it has nothing to do all the time";
}

TEST(roles, a_promotion_beside_a_master_ends_in_the_end) {
    world around;
    auto& b = around.add();
    b.disk_of("s").who = {endpoint_id{endpoint_id::bytes_type{50}}, {{1, 1}}};
    const auto standby = b.standby("s");
    b.master("s");
    around.pass(1s);
    // As one that is elected beside a master of another store.
    ASSERT_EQ(b.clone_of(standby).promote(around.now, 5s), ec::none);
    around.pass(2s);
    EXPECT_TRUE(b.clone_of(standby).promoting());
    EXPECT_GT(b.stores->next_deadline(), around.now);
    around.pass(5s);
    EXPECT_EQ(b.clone_of(standby).promotion_problem(), ec::request_timeout);
}

// -- Orphans --------------------------------------------------------------------------------------

TEST(roles, what_lies_beyond_the_log_is_handed_out_as_the_values_that_are_left) {
    cast all{1, 0};
    auto& a = *all.at[0];
    a.write(all.id[0], 0, make_command(operation::put, "shared", one));
    all.around.pass(1s);
    a.restart();
    auto options = cast::master_part(0);
    options.log_bytes = 0;  // It keeps nothing that is settled.
    all.id[0] = a.master("s", options, nullptr, all.standby_part(0, 0, false));
    all.around.pass(1s);
    const auto common = a.master_of(all.id[0]).last();
    all.around.apart.insert(a.id);
    for (count n = 0; n < 20; ++n) {
        a.write(all.id[0], 0, make_command(operation::put, n % 10, n));
        all.around.pass(50ms);
    }
    a.write(all.id[0], 0, make_command(operation::erase, count{3}));
    all.around.pass(1s);
    const auto last = a.master_of(all.id[0]).last();
    ASSERT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(15s);
    all.around.apart.clear();
    all.around.pass(5s);
    ASSERT_EQ(all.masters(), std::vector{1U});
    ASSERT_EQ(a.orphans.size(), 1U);
    const auto& kept = a.orphans[0];
    EXPECT_EQ(kept.first, common + 1);
    EXPECT_EQ(kept.last, last);
    EXPECT_LT(kept.entries, 21U);
    const auto beyond = last - kept.entries;
    std::map<data, data> values;
    for (const auto& each : kept.values) {
        EXPECT_GT(each->revision(), common);
        EXPECT_LE(each->revision(), beyond);
        values.emplace(*decode_ordered(each->key()), *decode(each->value()));
    }
    EXPECT_EQ(values.size(), 9U) << "all but the one that was erased";
    EXPECT_EQ(values[count{7}], data{count{17}});
    EXPECT_FALSE(values.contains("shared"));
}

TEST(roles, what_a_second_new_master_lacks_too_is_handed_out_before_the_first_one_s_state_is_here) {
    cast all{3, 0};
    auto& a = *all.at[0];
    auto& around = all.around;
    const auto write = [&](const char* key) {
        a.write(all.id[0], 0, make_command(operation::put, key, one));
        around.pass(1s);
        return a.master_of(all.id[0]).last();
    };
    const auto least = write("x");
    around.apart = {all.at[2]->id};
    const auto more = write("y");
    around.apart = {all.at[1]->id, all.at[2]->id};
    const auto last = write("z");  // The third standby is the only one that has all.
    all.kill(0);
    auto& c = *all.at[3];
    around.apart = {c.id, all.at[1]->id};
    bool whole = false;
    around.lose = [&](std::span<const std::byte> message) {
        return !whole && type_of(message) == message_type::chunk;
    };
    ASSERT_FALSE(all.at[1]->stores->promote(around.now, around.wall, all.id[1]));
    around.pass(5s);
    ASSERT_EQ(c.orphans.size(), 1U);
    EXPECT_EQ(c.orphans[0].first, more + 1);
    EXPECT_EQ(c.orphans[0].last, last);
    // Its state does not come before it has gone as well.
    around.apart = {c.id, all.at[2]->id};
    all.at[2]->clone_of(all.id[2]).note_epoch(all.at[1]->epochs[all.id[1]]);
    ASSERT_FALSE(all.at[2]->stores->promote(around.now, around.wall, all.id[2]));
    around.pass(20s);
    ASSERT_EQ(c.orphans.size(), 2U);
    EXPECT_EQ(c.orphans[1].first, least + 1);
    EXPECT_EQ(c.orphans[1].last, last);
    whole = true;
    around.pass(20s);
    EXPECT_EQ(c.orphans.size(), 2U) << "each once";
    EXPECT_EQ(c.content(all.id[3]), (std::map<data, data>{{"x", one}}));
}

TEST(roles, a_fenced_master_hands_out_what_only_it_had_although_a_clone_is_beside_it) {
    cast all{1, 0};
    auto& a = *all.at[0];
    const auto beside = a.clone("s");
    all.around.pass(1s);
    all.around.apart.insert(a.id);
    const auto common = a.master_of(all.id[0]).last();
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(1s);
    ASSERT_EQ(a.content(beside).size(), 1U);
    ASSERT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(15s);
    all.around.apart.clear();
    all.around.pass(5s);
    ASSERT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(a.demotions[all.id[0]], ec::master_exists);
    EXPECT_EQ(a.ends[beside], ec::master_exists);
    EXPECT_FALSE(a.ends.contains(all.id[0]));
    ASSERT_EQ(a.orphans.size(), 1U);
    EXPECT_EQ(a.orphans[0].first, common + 1);
    EXPECT_TRUE(a.clone_of(all.id[0]).status().synced);
    EXPECT_EQ(a.content(all.id[0]), all.at[1]->content(all.id[1]));
}

// -- Malformed messages ---------------------------------------------------------------------------

TEST(roles, each_malformed_message_to_a_master_or_a_clone_is_counted) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    std::uint64_t at_master = 0;
    for (const auto type : {message_type::attach, message_type::ack, message_type::write,
                            message_type::detach, message_type::claim, message_type::promote}) {
        std::vector<std::byte> message;
        byte_writer to{message};
        to.u8(static_cast<std::uint8_t>(type));
        to.string("s");
        to.u8(7);
        to.u8(7);
        a.stores->received(all.around.now, all.around.wall, b.id, message);
        EXPECT_EQ(a.stores->malformed(), ++at_master) << static_cast<int>(type);
    }
    std::uint64_t at_clone = 0;
    for (const auto type : {message_type::welcome, message_type::log, message_type::chunk,
                            message_type::heartbeat, message_type::taken, message_type::refuse,
                            message_type::closing, message_type::claim, message_type::failed,
                            message_type::ask_vote, message_type::vote}) {
        std::vector<std::byte> message;
        byte_writer to{message};
        to.u8(static_cast<std::uint8_t>(type));
        to.string("s");
        to.u8(7);
        to.u8(7);
        b.stores->received(all.around.now, all.around.wall, a.id, message);
        EXPECT_EQ(b.stores->malformed(), ++at_clone) << static_cast<int>(type);
    }
    all.around.pass(1s);
    EXPECT_EQ(a.stores->malformed(), at_master) << "what they say to each other is well formed";
    EXPECT_EQ(b.stores->malformed(), at_clone);
}

// -- Idle -----------------------------------------------------------------------------------------

TEST(roles, a_master_is_idle_only_when_its_clones_show_what_counts) {
    cast all{1, 1};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    // What says that the entry counts gets lost: the standby has it, and must not show it.
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.lose = [&](std::span<const std::byte> message) {
        return type_of(message) == message_type::heartbeat;
    };
    all.around.settle();
    all.around.pass(100ms);
    ASSERT_EQ(a.answers[1], ec::none);
    ASSERT_TRUE(b.content(all.id[1]).empty());
    EXPECT_FALSE(a.master_of(all.id[0]).idle());
    all.around.lose = {};
    all.around.pass(2s);
    EXPECT_EQ(b.content(all.id[1]).size(), 1U);
    EXPECT_TRUE(a.master_of(all.id[0]).idle());
}

}  // namespace
}  // namespace bzmq::replica::testing
