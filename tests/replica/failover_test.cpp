// Standbys, promotion by an operator and by election, fencing.
#include <gtest/gtest.h>

#include "replica/cast.hpp"

namespace bzmq::replica::testing {
namespace {

using namespace std::chrono_literals;

TEST(failover, a_standby_acknowledges_only_what_its_disk_has) {
    cast all{1, 1};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    b.disk_waits = true;
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(2s);
    EXPECT_FALSE(a.answers.contains(1));
    EXPECT_TRUE(b.content(all.id[1]).empty()) << "shown before it counts";
    b.disk_waits = false;
    all.around.pass(1s);
    EXPECT_EQ(a.answers[1], ec::none);
    EXPECT_EQ(b.content(all.id[1]).size(), 1U);
    EXPECT_EQ(b.disk_of("s").last(), a.master_of(all.id[0]).last());
}

TEST(failover, a_write_waits_for_as_many_disks_as_it_should) {
    cast all{3, 2};
    auto& a = *all.at[0];
    all.at[2]->disk_waits = all.at[3]->disk_waits = true;
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    EXPECT_FALSE(a.answers.contains(1));
    // One that leaves does not count any more, whatever it had.
    all.at[1]->stores->detach(all.id[1]);
    all.at[2]->disk_waits = false;
    all.around.pass(1s);
    EXPECT_FALSE(a.answers.contains(1));
    all.at[3]->disk_waits = false;
    all.around.pass(1s);
    EXPECT_EQ(a.answers[1], ec::none);
}

TEST(failover, a_standby_that_starts_again_goes_on_where_its_disk_ends) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(1s);
    const auto snapshots = b.disk_of("s").snapshots;
    b.restart();
    a.write(all.id[0], 0, make_command(operation::put, "y", one));
    all.around.pass(1s);
    const auto again = b.standby("s", all.standby_part(1, 0, false));
    EXPECT_EQ(b.content(again).size(), 1U);
    EXPECT_FALSE(b.clone_of(again).status().synced) << "nobody has said that this counts";
    all.around.pass(1s);
    EXPECT_EQ(b.content(again).size(), 2U);
    EXPECT_TRUE(b.clone_of(again).status().synced);
    EXPECT_EQ(b.disk_of("s").snapshots, snapshots);
}

TEST(failover, the_heir_has_what_was_acknowledged_and_does_nothing_twice) {
    cast all{2, 1};
    auto& c = all.around.add();
    const auto clone = c.clone("s");
    all.around.pass(1s);
    c.write(clone, 1, make_command(operation::add, "n", one));
    all.around.pass(1s);
    EXPECT_EQ(c.answers[1], ec::none);
    // These reach the standbys' disks, but no answer comes.
    all.around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == message_type::ack;
    };
    for (ticket each = 2; each <= 4; ++each) {
        c.write(clone, each, make_command(operation::add, "n", one));
    }
    all.around.settle();
    EXPECT_EQ(c.answers.size(), 1U);
    all.kill(0);
    all.around.lose = {};
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(all.at[1]->epochs[all.id[1]], all.at[1]->master_of(all.id[1]).who().epoch());
    EXPECT_EQ(c.answers.size(), 4U);
    EXPECT_EQ(c.content(clone), (std::map<data, data>{{"n", count{4}}}));
    EXPECT_EQ(all.at[2]->content(all.id[2]), c.content(clone));
    EXPECT_EQ(all.at[2]->disk_of("s").snapshots, 1U) << "the log went on";
}

TEST(failover, an_heir_answers_its_own_commands) {
    cast all{1, 0};
    auto& b = *all.at[1];
    all.around.lose = [](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == message_type::write;
    };
    b.write(all.id[1], 1, make_command(operation::add, "n", one));
    b.write(all.id[1], 2, make_command(operation::append, "n", "text"));
    all.around.settle();
    all.around.lose = {};
    all.kill(0);
    EXPECT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(1s);
    EXPECT_EQ(b.answers[1], ec::none);
    EXPECT_EQ(b.answers[2], ec::type_clash);
    EXPECT_EQ(b.content(all.id[1]), (std::map<data, data>{{"n", one}}));
}

TEST(failover, promotion_waits_for_the_disk) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    b.disk_waits = true;
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(1s);
    all.kill(0);
    EXPECT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(1s);
    EXPECT_TRUE(all.masters().empty());
    b.disk_waits = false;
    all.around.pass(1s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(b.disk_of("s").who.epochs, b.master_of(all.id[1]).who().epochs);
}

TEST(failover, only_a_standby_with_a_whole_copy_can_be_promoted) {
    world around;
    auto& a = around.add();
    const auto plain = a.clone("s");
    EXPECT_EQ(a.stores->promote(around.now, around.wall, plain), ec::invalid_configuration);
    auto& b = around.add();
    const auto empty = b.standby("t");
    EXPECT_EQ(b.stores->promote(around.now, around.wall, empty), ec::stale_data);
}

TEST(failover, a_former_master_that_has_only_begun_anew_since_has_nothing_to_hand_out) {
    cast all{2, 1};
    auto& a = *all.at[0];
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    const auto last = a.master_of(all.id[0]).last();
    all.kill(0);
    all.around.apart = {a.id};
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(2s);
    all.id[0] = a.master("s", cast::master_part(1), nullptr, all.standby_part(0, 1, false));
    all.around.pass(1s);
    ASSERT_EQ(a.master_of(all.id[0]).last(), last + 1) << "its new epoch's first entry";
    all.around.apart.clear();
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(a.content(all.id[0]).size(), 1U);
    EXPECT_TRUE(a.orphans.empty());
}

TEST(failover, the_former_master_gives_way_and_hands_out_what_only_it_had) {
    cast all{2, 1};
    auto& a = *all.at[0];
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    const auto common = a.master_of(all.id[0]).last();
    all.around.apart.insert(a.id);
    a.write(all.id[0], 2, make_command(operation::put, "lost", one));
    a.write(all.id[0], 3, make_command(operation::put, "lost", "too"));
    all.around.pass(500ms);
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(1s);
    all.at[1]->write(all.id[1], 4, make_command(operation::put, "y", one));
    all.around.pass(15s);
    all.around.apart.clear();
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_EQ(a.demotions[all.id[0]], ec::master_exists);
    EXPECT_EQ(a.answers[2], ec::request_timeout);
    ASSERT_EQ(a.orphans.size(), 1U);
    EXPECT_EQ(a.orphans[0].first, common + 1);
    EXPECT_EQ(a.orphans[0].last, common + 2);
    EXPECT_EQ(a.orphans[0].entries, 2U);
    EXPECT_EQ(all.at[1]->answers[4], ec::none);
    EXPECT_EQ(a.content(all.id[0]), (std::map<data, data>{{"x", one}, {"y", one}}));
    EXPECT_EQ(a.disk_of("s").last(), all.at[1]->master_of(all.id[1]).last());
    // It may be master again.
    EXPECT_FALSE(a.stores->promote(all.around.now, all.around.wall, all.id[0]));
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{0U});
}

TEST(failover, a_former_heir_writes_under_a_name_that_it_never_had) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    auto forgetful = cast::master_part(0);
    forgetful.writer_timeout = 4s;
    forgetful.clone_timeout = 1s;
    clone_options heir;
    heir.promoted = cast::master_part(0);
    const auto at_a = a.master("s", forgetful, nullptr, heir);
    const auto at_b = b.standby("s", heir);
    around.settle();
    b.write(at_b, 1, make_command(operation::add, "n", one));
    around.settle();
    around.apart.insert(b.id);
    around.pass(20s);  // It is forgotten, and goes by another name afterwards.
    around.apart.clear();
    b.write(at_b, 2, make_command(operation::add, "n", one));
    around.pass(20s);
    ASSERT_EQ(b.answers[2], ec::none);
    ASSERT_FALSE(b.stores->promote(around.now, around.wall, at_b));
    around.pass(5s);
    ASSERT_FALSE(a.stores->promote(around.now, around.wall, at_a));
    around.pass(5s);
    ASSERT_NE(b.stores->clone_of(at_b), nullptr);
    b.write(at_b, 3, make_command(operation::add, "n", one));
    around.pass(5s);
    EXPECT_EQ(b.answers[3], ec::none);
    EXPECT_EQ(a.content(at_a), (std::map<data, data>{{"n", count{3}}}));
}

/// Keeps what a master sends.
struct letter_box final : store_output {
    std::vector<std::vector<std::byte>> sent;
    void send(std::span<const endpoint_id>, std::vector<std::byte> message) override {
        sent.push_back(std::move(message));
    }
    void persist(persist_batch) override {}
    void persist_snapshot(snapshot_image) override {}
    void persist_vote(vote_record) override {}
    void orphaned(orphan_set) override {}
    void answered(ticket, const answer&) override {}
    void changed(const effect&) override {}
    [[nodiscard]] bool wants_changes() const override { return false; }
    void report(error) override {}
    void status_changed(const clone_status&) override {}

    /// What the newest message says to a clone that attached.
    [[nodiscard]] std::optional<welcome_message> welcome() const {
        byte_reader in{sent.back()};
        return read_head(in) ? read_welcome(in) : std::nullopt;
    }
};

/// A log in which one writer's index goes to another one: entries 1 to 4.
struct reused_index {
    const endpoint_id store{{7}};
    const writer_id former{{8}};
    const writer_id latter{{9}};
    std::vector<std::vector<std::byte>> entries;
    no_gate gate;
    table values;
    letter_box box;
    instant now{1h};

    reused_index() {
        entry({3, 1, ec::none}, {change_kind::open_writer, {}, {}, no_expiry, 3, former});
        entry({3, 2, ec::type_clash}, {});
        entry({own_writer, 0, ec::none}, {change_kind::close_writer, {}, {}, no_expiry, 3, {}});
        entry({3, 2, ec::none}, {change_kind::open_writer, {}, {}, no_expiry, 3, latter});
    }
    void entry(const entry_head& head, const change& what) {
        auto& fresh = entries.emplace_back();
        put_head(fresh, head);
        if (what.writer != own_writer) {
            put_change(fresh, what);
        }
    }
    /// A master that has all of it, and its own first entry, to settle, and does.
    [[nodiscard]] std::unique_ptr<master> make_heir() {
        handover from;
        from.who = {store, {{epoch_after_start(0, store), 1}}};
        from.log.reset(0, 0);
        for (const auto& each : entries) {
            from.log.append(shared_bytes::copy_of(each));
        }
        from.on_disk = from.handed_to_disk = entries.size();
        from.who.epochs.push_back({epoch_after_promotion(from.who.epoch(), former),
                                   entries.size() + 1});
        auto options = cast::master_part(0);
        options.name = "s";
        auto heir = std::make_unique<master>(options, std::move(from), values, gate, box, now,
                                             timestamp{});
        heir->flush(now, {});
        heir->persisted(now, {}, entries.size() + 1, {});
        return heir;
    }
    /// Attaches to it, so that it needs a snapshot.
    [[nodiscard]] std::optional<welcome_message> attach(master& to) {
        attach_message out;
        out.clone = latter;
        out.attempt = 1;
        const auto bytes = encode("s", out);
        byte_reader in{bytes};
        EXPECT_TRUE(read_head(in));
        to.received(now, {}, endpoint_id{{5}}, message_type::attach, in);
        return box.welcome();
    }
};

TEST(failover, an_heir_tells_writers_apart_that_had_one_index) {
    reused_index log;
    const auto heir = log.make_heir();
    EXPECT_EQ(heir->committed(), 5U);
    const auto welcome = log.attach(*heir);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->number, 2U);
    ASSERT_EQ(welcome->writers.size(), 1U);
    EXPECT_EQ(welcome->writers[0].id, log.latter);
    EXPECT_EQ(welcome->writers[0].number, 2U);
    EXPECT_EQ(welcome->failures, (std::vector<failed_commands>{{1, 1, ec::backend_failure}}));
}

TEST(failover, an_heir_bears_a_log_with_a_writer_that_nobody_knows) {
    reused_index log;
    log.entries.erase(log.entries.begin());
    log.entries.erase(log.entries.begin() + 1, log.entries.end());
    const auto heir = log.make_heir();
    EXPECT_EQ(heir->committed(), 2U);
    ASSERT_TRUE(log.attach(*heir));
}

TEST(failover, an_heir_that_knows_as_many_writers_as_it_may_says_so_to_its_own) {
    world around;
    auto& b = around.add();
    auto& disk = b.disk_of("s");
    disk.who = {endpoint_id{endpoint_id::bytes_type{50}}, {{1, 1}}};
    for (std::uint32_t index = 1; index <= writers_max; ++index) {
        const auto low = static_cast<std::uint8_t>(index);
        const auto high = static_cast<std::uint8_t>(index >> 8);
        const auto top = static_cast<std::uint8_t>(index >> 16);
        disk.writers.push_back({index, writer_id{endpoint_id::bytes_type{9, low, high, top}}, 1,
                                ec::none});
    }
    const auto standby = b.standby("s");
    EXPECT_EQ(b.write(standby, 1, make_command(operation::put, "x", one)), ec::none);
    EXPECT_FALSE(b.stores->promote(around.now, around.wall, standby));
    around.pass(1s);
    ASSERT_NE(b.stores->master_of(standby), nullptr);
    EXPECT_EQ(b.answers[1], ec::request_timeout);
    b.write(standby, 2, make_command(operation::put, "y", one));
    around.pass(1s);
    EXPECT_EQ(b.answers[2], ec::none) << "as the master's own it needs no room";
}

TEST(failover, a_master_that_starts_again_tells_writers_apart_that_had_one_index) {
    reused_index log;
    master::start from;
    from.who = {log.store, {{epoch_after_start(0, log.store), 1}}};
    from.last = 4;
    std::uint64_t chained = 0;
    for (const auto& each : log.entries) {
        chained = chain(chained, each);
    }
    from.chain = chained;
    from.writers = {{3, log.latter, 2, ec::none}};
    auto options = cast::master_part(0);
    options.name = "s";
    master again{options, from, log.values, log.gate, log.box, log.now, {}};
    chained = 0;
    for (std::size_t i = 0; i < log.entries.size(); ++i) {
        chained = chain(chained, log.entries[i]);
        again.load_log(i + 1, chained, log.entries[i]);
    }
    const auto welcome = log.attach(again);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->number, 2U);
    EXPECT_TRUE(welcome->failures.empty()) << "those were another writer's";
}

TEST(failover, one_disk_counts_once_although_its_standby_starts_again) {
    cast all{1, 2};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    b.restart();
    all.id[1] = b.standby("s", all.standby_part(1, 2, false));
    all.around.pass(2s);
    ASSERT_EQ(b.disk_of("s").last(), a.master_of(all.id[0]).last());
    EXPECT_FALSE(a.answers.contains(1)) << "there is one standby, and two are asked for";
    all.around.add().standby("s", all.standby_part(2, 2, false));
    all.around.pass(2s);
    EXPECT_EQ(a.answers[1], ec::none);
}

TEST(failover, a_former_master_that_starts_again_begins_an_older_epoch_than_its_heir) {
    cast all{1, 0};
    auto& a = *all.at[0];
    all.around.apart.insert(a.id);
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(1s);
    for (int starts = 0; starts < 3; ++starts) {
        a.restart();
        all.around.apart = {a.id};
        all.id[0] = a.master("s", cast::master_part(0), nullptr, all.standby_part(0, 0, false));
        all.around.pass(1s);
    }
    all.around.apart.clear();
    all.around.pass(5s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_TRUE(a.clone_of(all.id[0]).status().synced);
}

TEST(failover, a_clone_follows_no_older_master_of_its_store) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& c = all.around.add();
    const auto clone = c.clone("s");
    all.around.pass(1s);
    all.around.apart.insert(a.id);
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(5s);
    ASSERT_EQ(c.clone_of(clone).status().master, all.at[1]->id);
    // Only the former one can be reached now: the clone's word fences it.
    all.around.apart = {a.id, c.id};
    all.around.pass(10s);
    EXPECT_EQ(all.masters(), std::vector{1U});
    EXPECT_FALSE(c.clone_of(clone).status().attached);
}

TEST(failover, a_standby_that_hears_late_of_an_heir_makes_no_older_masters_writes_safe) {
    cast all{2, 1};
    auto& a = *all.at[0];
    auto& c = *all.at[2];
    // What the heir answers to the standby comes when that has asked again: it never follows it.
    std::vector<std::vector<std::byte>> late;
    all.around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        const bool lost = read_head(in)->type == message_type::welcome;
        if (lost) {
            late.emplace_back(message.begin(), message.end());
        }
        return lost;
    };
    all.around.apart.insert(a.id);
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(10s);
    ASSERT_GE(late.size(), 2U);
    ASSERT_FALSE(c.clone_of(all.id[2]).status().attached);
    c.stores->received(all.around.now, all.around.wall, all.at[1]->id, late.front());
    // Only the former master can be reached now.
    all.around.lose = {};
    all.around.apart = {a.id, c.id};
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(10s);
    EXPECT_EQ(all.masters(), std::vector{1U}) << "the standby's word fences the former one";
    EXPECT_FALSE(a.answers.contains(1) && a.answers[1] == ec::none);
    EXPECT_FALSE(c.clone_of(all.id[2]).status().attached);
}

TEST(failover, what_former_masters_left_counts_only_with_an_entry_of_the_heir) {
    cast all{2, 1};
    auto& a = *all.at[0];
    auto& c = all.around.add();
    const auto clone = c.clone("s");
    all.around.pass(1s);
    // An entry reaches the standbys' disks and is never acknowledged.
    all.around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == message_type::ack;
    };
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.settle();
    all.kill(0);
    all.around.lose = {};
    // Two disks have it. But somebody with another entry in its place, of an epoch between, may
    // be chosen over them, as long as no second disk has one of the heir's.
    all.at[2]->disk_waits = true;
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(5s);
    EXPECT_TRUE(c.content(clone).empty());
    all.at[2]->disk_waits = false;
    all.around.pass(5s);
    EXPECT_EQ(c.content(clone).size(), 1U);
}

TEST(failover, logs_of_two_heirs_are_told_apart_from_their_first_entry_on) {
    cast all{3, 0};
    all.kill(0);
    all.around.apart.insert(all.at[2]->id);
    EXPECT_FALSE(all.at[1]->stores->promote(all.around.now, all.around.wall, all.id[1]));
    all.around.pass(5s);
    const auto first = all.at[3]->disk_of("s").who.epoch();
    EXPECT_EQ(first, all.at[1]->epochs[all.id[1]]);
    // The third one has the first heir's first entry, and then follows a second heir without it.
    all.around.apart = {all.at[2]->id, all.at[3]->id};
    EXPECT_FALSE(all.at[2]->stores->promote(all.around.now, all.around.wall, all.id[2]));
    all.around.pass(5s);
    auto& disk = all.at[3]->disk_of("s");
    if (all.at[2]->epochs[all.id[2]] > first) {
        EXPECT_EQ(rank_of(disk.who, disk.last()).epoch, all.at[2]->epochs[all.id[2]]);
        EXPECT_TRUE(all.at[3]->orphans.empty()) << "the first heir's first entry changes nothing";
    } else {
        EXPECT_EQ(all.at[2]->demotions[all.id[2]], ec::master_exists);
    }
}

TEST(failover, a_master_that_starts_again_shows_clones_only_what_its_standbys_have) {
    cast all{1, 1};
    auto& a = *all.at[0];
    auto& c = all.around.add();
    const auto clone = c.clone("s");
    all.around.pass(1s);
    all.at[1]->disk_waits = true;
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(200ms);
    a.restart();
    all.id[0] = a.master("s", cast::master_part(1), nullptr, all.standby_part(0, 1, false));
    all.around.pass(5s);
    EXPECT_EQ(a.content(all.id[0]).size(), 1U);
    EXPECT_TRUE(c.content(clone).empty());
    all.at[1]->disk_waits = false;
    all.around.pass(5s);
    EXPECT_EQ(c.content(clone).size(), 1U);
}

TEST(failover, a_snapshot_takes_what_may_count_already_to_the_disk_with_it) {
    cast all{2, 1};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    auto& c = *all.at[2];
    auto& disk = c.disk_of("s");
    // Both standbys have an entry and do not know whether it counts; one of them has one more.
    message_type lost = message_type::ack;
    all.around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == lost;
    };
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.settle();
    const auto had = disk.last();
    all.around.apart = {b.id};
    a.write(all.id[0], 0, make_command(operation::put, "y", one));
    all.around.settle();
    ASSERT_EQ(disk.last(), had + 1);
    ASSERT_EQ(b.disk_of("s").last(), had);
    all.kill(0);
    all.around.apart = {a.id};
    EXPECT_FALSE(b.stores->promote(all.around.now, all.around.wall, all.id[1]));
    // The snapshot comes, as of what surely counts; the log does not.
    lost = message_type::log;
    for (int steps = 0; steps < 100; ++steps) {
        all.around.pass(50ms);
        EXPECT_GE(disk.last(), had);
    }
    EXPECT_TRUE(c.clone_of(all.id[2]).in_snapshot());
    EXPECT_EQ(c.orphans.size(), 1U);
    all.around.lose = {};
    all.around.pass(5s);
    EXPECT_EQ(disk.last(), b.master_of(all.id[1]).last());
    EXPECT_EQ(c.content(all.id[2]), (std::map<data, data>{{"x", one}}));
}

TEST(failover, a_standby_keeps_its_store_where_another_master_has_its_name) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    a.write(all.id[0], 0, make_command(operation::put, "x", one));
    all.around.pass(1s);
    a.restart();
    a.master("s");  // In memory, and empty.
    all.around.pass(5s);
    EXPECT_EQ(b.content(all.id[1]).size(), 1U);
    EXPECT_FALSE(b.clone_of(all.id[1]).status().attached);
    EXPECT_EQ(b.reports.size(), 1U);
    EXPECT_EQ(b.disk_of("s").last(), 1U);
}

TEST(failover, a_standby_whose_disk_is_full_catches_up_later) {
    cast all{1, 0};
    auto& a = *all.at[0];
    auto& b = *all.at[1];
    b.disk_full = true;
    for (count n = 0; n < 50; ++n) {
        a.write(all.id[0], 0, make_command(operation::put, n, n));
        all.around.pass(50ms);
    }
    EXPECT_EQ(b.content(all.id[1]).size(), 50U);
    EXPECT_LT(b.reports.size(), 10U);
    b.disk_full = false;
    all.around.pass(3s);
    EXPECT_EQ(b.disk_of("s").last(), a.master_of(all.id[0]).last());
    EXPECT_TRUE(a.master_of(all.id[0]).idle());
}

// -- Elections ------------------------------------------------------------------------------------

TEST(failover, electors_find_a_master_when_theirs_is_gone) {
    cast all{2, 1, true};
    auto& a = *all.at[0];
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    EXPECT_EQ(a.answers[1], ec::none);
    all.kill(0);
    all.around.pass(30s);
    ASSERT_EQ(all.masters().size(), 1U);
    const auto heir = all.masters()[0];
    EXPECT_EQ(all.at[heir]->content(all.id[heir]).size(), 1U);
    all.at[heir]->write(all.id[heir], 2, make_command(operation::put, "y", one));
    all.around.pass(1s);
    EXPECT_EQ(all.at[heir]->answers[2], ec::none);
    // The first one comes back as a standby.
    all.around.apart.clear();
    all.id[0] = a.standby("s", all.standby_part(0, 1, true));
    all.around.pass(5s);
    EXPECT_EQ(a.content(all.id[0]).size(), 2U);
    EXPECT_EQ(all.masters(), std::vector{heir});
}

TEST(failover, a_minority_elects_nobody) {
    cast all{2, 1, true};
    all.around.apart.insert(all.at[2]->id);
    all.around.pass(60s);
    EXPECT_EQ(all.masters(), std::vector{0U});
    all.around.apart.clear();
    all.around.pass(10s);
    EXPECT_EQ(all.masters(), std::vector{0U}) << "it disturbed the others when it came back";
    EXPECT_TRUE(all.at[2]->clone_of(all.id[2]).status().attached);
}

TEST(failover, the_fuller_log_wins) {
    for (const unsigned behind : {1U, 2U}) {
        cast all{2, 1, true};
        auto& a = *all.at[0];
        all.around.apart.insert(all.at[behind]->id);
        a.write(all.id[0], 1, make_command(operation::put, "x", one));
        all.around.pass(1s);
        EXPECT_EQ(a.answers[1], ec::none);
        all.kill(0);
        all.around.apart = {a.id};
        all.around.pass(60s);
        EXPECT_EQ(all.masters(), std::vector{3 - behind});
        EXPECT_EQ(all.at[behind]->content(all.id[behind]).size(), 1U);
    }
}

TEST(failover, a_master_cut_off_from_its_electors_acknowledges_nothing_and_is_fenced) {
    cast all{2, 1, true};
    auto& a = *all.at[0];
    all.around.apart.insert(a.id);
    a.write(all.id[0], 1, make_command(operation::put, "lost", one));
    all.around.pass(30s);
    EXPECT_FALSE(a.answers.contains(1));
    ASSERT_EQ(all.masters().size(), 2U);
    EXPECT_NE(all.masters()[1], 0U);
    all.around.apart.clear();
    all.around.pass(5s);
    EXPECT_EQ(all.masters().size(), 1U);
    EXPECT_EQ(a.answers[1], ec::request_timeout);
    EXPECT_EQ(a.orphans.size(), 1U);
    EXPECT_TRUE(a.content(all.id[0]).empty());
}

TEST(failover, an_elected_master_is_newer_than_one_that_an_operator_made) {
    cast all{2, 1, true};
    for (const unsigned each : {1U, 2U, 1U}) {
        ASSERT_FALSE(all.at[each]->stores->promote(all.around.now, all.around.wall, all.id[each]));
        all.around.pass(5s);
    }
    ASSERT_EQ(all.masters(), std::vector{1U});
    const auto before = all.at[1]->master_of(all.id[1]).who().epoch();
    all.kill(1);
    for (const unsigned each : {0U, 2U}) {
        all.at[each]->restart();
        all.id[each] = all.at[each]->standby("s", all.standby_part(each, 1, true));
    }
    all.around.pass(60s);
    ASSERT_EQ(all.masters().size(), 1U);
    const auto heir = all.masters()[0];
    EXPECT_GT(all.at[heir]->master_of(all.id[heir]).who().epoch(), before);
    for (const unsigned each : {0U, 2U}) {
        EXPECT_FALSE(all.at[each]->demotions.contains(all.id[each])) << "it was master of an old epoch";
    }
}

TEST(failover, promises_of_one_store_are_not_kept_in_another) {
    cast all{2, 1, true};
    all.kill(0);
    all.around.pass(30s);
    ASSERT_EQ(all.masters().size(), 1U);
    const auto heir = all.masters()[0];
    const auto other = 3 - heir;
    auto& b = *all.at[other];
    ASSERT_NE(b.disk_of("s").vote.epoch, 0U);
    // The heir's disk is lost, and an operator begins anew.
    all.at[heir]->restart();
    all.at[heir]->disks.clear();
    const auto fresh = all.at[heir]->master("s", cast::master_part(0));
    all.at[heir]->write(fresh, 1, make_command(operation::put, "x", one));
    all.around.pass(2s);
    b.clone_of(all.id[other]).accept_new_store(all.around.now);
    all.around.pass(30s);
    EXPECT_NE(all.at[heir]->stores->master_of(fresh), nullptr) << "fenced by a former store's epoch";
    EXPECT_TRUE(b.clone_of(all.id[other]).status().attached);
    EXPECT_EQ(b.disk_of("s").vote, vote_record{});
    b.restart();
    all.id[other] = b.standby("s", all.standby_part(other, 1, true));
    all.around.pass(2s);
    EXPECT_EQ(b.content(all.id[other]).size(), 1U);
    EXPECT_TRUE(b.clone_of(all.id[other]).status().attached);
}

TEST(failover, only_electors_count_as_replicas) {
    cast all{2, 1, true};
    auto& a = *all.at[0];
    auto& extra = all.around.add();
    auto options = all.standby_part(0, 1, false);
    extra.standby("s", options);
    all.around.pass(1s);
    all.at[1]->disk_waits = all.at[2]->disk_waits = true;
    a.write(all.id[0], 1, make_command(operation::put, "x", one));
    all.around.pass(1s);
    EXPECT_EQ(extra.disk_of("s").last(), a.master_of(all.id[0]).last());
    EXPECT_FALSE(a.answers.contains(1));
    all.at[1]->disk_waits = false;
    all.around.pass(1s);
    EXPECT_EQ(a.answers[1], ec::none);
}

TEST(failover, options_that_would_lose_acknowledged_writes_are_refused) {
    clone_options options;
    options.name = "s";
    EXPECT_FALSE(check_failover(options));
    options.electors = {"a", "b", "c", "d", "e"};
    options.elector = "a";
    options.promoted.sync_replicas = 2;
    EXPECT_EQ(check_failover(options), ec::invalid_configuration) << "no standby";
    options.standby = true;
    EXPECT_FALSE(check_failover(options));
    options.promoted.sync_replicas = 1;
    EXPECT_EQ(check_failover(options), ec::invalid_configuration);
    options.promoted.sync_replicas = 5;
    EXPECT_EQ(check_failover(options), ec::invalid_configuration) << "more than there can be";
    options.promoted.sync_replicas = 2;
    options.elector = "f";
    EXPECT_EQ(check_failover(options), ec::invalid_configuration);
    options.elector = "a";
    for (const auto timeout : {0s, -1s}) {
        options.failover_timeout = timeout;
        EXPECT_EQ(check_failover(options), ec::invalid_configuration);
    }
    options.failover_timeout = 1s;
    EXPECT_FALSE(check_failover(options));
    options.electors[1] = "a";
    EXPECT_EQ(check_failover(options), ec::invalid_configuration);
    // Who has been master attaches as a standby, and is elected.
    cast all{2, 1, true};
    auto& a = *all.at[0];
    a.restart();
    error why;
    a.master("s", cast::master_part(1), &why, all.standby_part(0, 1, true));
    EXPECT_EQ(why, ec::invalid_configuration);
}

}  // namespace
}  // namespace bzmq::replica::testing
