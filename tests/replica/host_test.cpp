#include <gtest/gtest.h>

#include <functional>

#include "base/prng.hpp"
#include "replica/room.hpp"

namespace bzmq::replica::testing {
namespace {

using namespace std::chrono_literals;

const data one{count{1}};

TEST(host, a_clone_gets_what_is_there_and_what_comes) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    a.write(master, 1, make_command(operation::put, "x", one));
    const auto clone = b.clone("s");
    around.settle();
    EXPECT_TRUE(b.statuses[clone].synced);
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"x", one}}));
    a.write(master, 2, make_command(operation::put, "y", "z"));
    a.write(master, 3, make_command(operation::erase, "x"));
    around.settle();
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"y", "z"}}));
    EXPECT_TRUE(a.stores->master_of(master)->idle() || (around.pass(100ms), a.stores->master_of(master)->idle()));
}

TEST(host, a_write_at_a_clone_is_answered_when_it_is_visible_there) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    const auto clone = b.clone("s");
    around.settle();
    EXPECT_EQ(b.write(clone, 7, make_command(operation::add, "n", count{5})), ec::none);
    EXPECT_FALSE(b.answers.contains(7));
    around.settle();
    ASSERT_TRUE(b.answers.contains(7));
    EXPECT_EQ(b.answers[7], ec::none);
    EXPECT_EQ(b.values[7], data{count{5}});
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"n", count{5}}}));
    b.write(clone, 8, make_command(operation::append, "n", "text"));
    b.write(clone, 9, make_command(operation::put_unique, "n", one));
    around.settle();
    EXPECT_EQ(b.answers[8], ec::type_clash);
    EXPECT_EQ(b.answers[9], ec::key_exists);
    EXPECT_EQ(a.content(master), b.content(clone));
}

TEST(host, increments_count_once_whatever_gets_lost) {
    world around;
    prng random{3};
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    const auto clone = b.clone("s");
    around.lose = [&](std::span<const std::byte>) { return random.chance(3, 10); };
    for (ticket each = 1; each <= 200; ++each) {
        b.write(clone, each, make_command(operation::add, "n", count{1}));
        around.pass(10ms);
    }
    around.lose = {};
    around.pass(5s);
    EXPECT_EQ(b.answers.size(), 200U);
    for (const auto& [to, code] : b.answers) {
        EXPECT_EQ(code, ec::none) << to;
    }
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"n", count{200}}}));
    EXPECT_EQ(a.content(master), b.content(clone));
    EXPECT_EQ(a.stores->master_of(master)->chain(), b.stores->clone_of(clone)->chain());
}

TEST(host, a_clone_says_how_much_of_a_snapshot_has_come) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    master_options small;
    small.frame_bytes = 512;
    small.window_bytes = 2'048;
    const auto master = a.master("s", small);
    for (count n = 0; n < 1'000; ++n) {
        a.write(master, 0, make_command(operation::put, n, n));
    }
    const auto clone = b.clone("s");
    std::size_t chunks = 0;
    around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == message_type::chunk && ++chunks > 10;
    };
    around.settle();
    const auto part = b.clone_of(clone).arrived();
    EXPECT_GT(part.entries, 50U);
    EXPECT_LT(part.entries, 1'000U);
    EXPECT_GT(part.bytes, part.entries);
    EXPECT_EQ(part.total, 1'000U);
    around.lose = {};
    around.pass(5s);
    EXPECT_EQ(b.content(clone).size(), 1'000U);
    EXPECT_EQ(b.clone_of(clone).arrived().entries, 0U);
    EXPECT_EQ(b.clone_of(clone).arrived().total, 0U);
}

TEST(host, what_is_sent_again_after_a_gap_is_not_sent_again_for_gaps_of_what_was_before_it) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    const auto clone = b.clone("s");
    around.settle();
    const auto is_log = [](std::span<const std::byte> message) {
        byte_reader in{message};
        return read_head(in)->type == message_type::log;
    };
    const std::string value(10'000, 'v');
    for (count n = 0; n < 90; ++n) {
        a.write(master, 0, make_command(operation::put, n, value));
    }
    a.stores->flush(around.now, around.wall);
    auto originals = std::exchange(around.mail, {});
    std::erase_if(originals, [&](const auto& each) { return !is_log(each.message); });
    const auto sent = originals.size();
    ASSERT_GT(sent, 10U);
    originals.pop_front();  // Lost. All others come one by one, on a slow path.
    std::size_t again = 0;
    for (const auto& each : originals) {
        around.now += 30ms;
        around.deliver(each);
        for (const auto& reply : std::exchange(around.mail, {})) {
            if (reply.to == a.id) {
                around.deliver(reply);
            }
        }
        a.stores->flush(around.now, around.wall);
        for (const auto& copy : std::exchange(around.mail, {})) {
            again += is_log(copy.message) ? 1 : 0;  // Far behind.
        }
    }
    EXPECT_EQ(again, sent);
    around.pass(5s);
    EXPECT_EQ(b.content(clone), a.content(master));
}

TEST(host, a_snapshot_is_whole_although_the_master_goes_on) {
    world around;
    prng random{4};
    auto& a = around.add();
    auto& b = around.add();
    master_options small;
    small.frame_bytes = 512;
    small.window_bytes = 2'048;
    const auto master = a.master("s", small);
    for (count n = 0; n < 2'000; ++n) {
        a.write(master, 0, make_command(operation::put, n, n));
    }
    a.watching = b.watching = true;
    const auto clone = b.clone("s");
    around.lose = [&](std::span<const std::byte>) {
        // Between any two messages the master changes something.
        a.write(master, 0, make_command(random.chance(1, 3) ? operation::erase : operation::put,
                                        random.below(2'500), random.next()));
        return random.chance(1, 20);
    };
    for (int round = 0; round < 400 && !b.statuses[clone].synced; ++round) {
        around.now += 50ms;
        for (auto letters = std::exchange(around.mail, {}); !letters.empty(); letters.pop_front()) {
            if (!around.lose(letters.front().message)) {
                for (auto* each : {&a, &b}) {
                    if (each->id == letters.front().to) {
                        each->stores->received(around.now, around.wall, letters.front().from,
                                               letters.front().message);
                    }
                }
            }
        }
        for (auto* each : {&a, &b}) {
            each->stores->tick(around.now, around.wall);
            each->stores->flush(around.now, around.wall);
        }
    }
    around.lose = {};
    around.pass(5s);
    EXPECT_TRUE(b.statuses[clone].synced);
    EXPECT_EQ(a.content(master), b.content(clone));
    EXPECT_TRUE(a.reports.empty() && b.reports.empty());
}

TEST(host, only_one_master_of_a_name) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    a.master("s");
    error why;
    b.master("s", {}, &why);
    EXPECT_EQ(why, ec::master_exists);
    // Both at once, before either hears of the other: the one with more in it stays.
    auto& c = around.add();
    auto& d = around.add();
    const auto first = c.master("t");
    d.services.clear();
    std::vector<std::string> hidden;
    hidden.swap(c.services);
    const auto second = d.master("t");
    c.services.swap(hidden);
    d.write(second, 0, make_command(operation::put, "x", one));
    around.settle();
    EXPECT_EQ(c.ends[first], ec::master_exists);
    EXPECT_FALSE(d.ends.contains(second));
    EXPECT_FALSE(c.reports.empty());
    EXPECT_FALSE(d.reports.empty());
}

TEST(host, entries_expire_at_the_master_and_so_at_the_clones) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    const auto clone = b.clone("s");
    b.watching = true;
    around.settle();
    a.write(master, 0, make_command(operation::put, "x", one, {}, 500ms));
    a.write(master, 0, make_command(operation::put, "y", one, {}, 500ms));
    a.write(master, 0, make_command(operation::put, "y", one));
    around.pass(400ms);
    EXPECT_EQ(b.content(clone).size(), 2U);
    around.pass(200ms);
    EXPECT_EQ(b.content(clone), (std::map<data, data>{{"y", one}}));
    EXPECT_EQ(b.changes.back().kind, change_kind::expire);
}

TEST(host, writing_a_key_that_expires_again_and_again_takes_no_memory) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s");
    auto notes_max = std::size_t{0};
    for (count n = 0; n < 50'000; ++n) {
        a.write(master, 0, make_command(operation::put, n % 100, n, {}, 24h));
        notes_max = std::max(notes_max, a.master_of(master).expiry_notes());
    }
    EXPECT_LE(notes_max, 2 * 100 + expiry_heap::part_count * expiry_heap::slack);
    // Nor does what was erased keep it.
    for (count n = 0; n < 20'000; ++n) {
        a.write(master, 0, make_command(operation::put, n, n, {}, 24h));
    }
    a.write(master, 0, make_command(operation::clear));
    a.write(master, 0, make_command(operation::put, "x", one, {}, 48h));
    for (std::size_t turn = 0; turn < expiry_heap::part_count; ++turn) {
        a.stores->flush(around.now, around.wall);
    }
    EXPECT_LE(a.master_of(master).expiry_notes(), expiry_heap::part_count * expiry_heap::slack);
    // And what is left goes when its time has come, not before.
    around.wall += 47h;
    around.now += 47h;
    around.settle();
    EXPECT_EQ(a.content(master).size(), 1U);
    around.wall += 1h;
    around.now += 1h;
    around.settle();
    EXPECT_TRUE(a.content(master).empty());
}

TEST(host, everything_expires_in_the_order_of_its_time) {
    world around;
    prng random{11};
    auto& a = around.add();
    const auto master = a.master("s");
    std::map<count, int> last;  // seconds
    for (int n = 0; n < 30'000; ++n) {
        const auto key = random.below(3'000);
        const auto after = static_cast<int>(random.below(600)) + 1;
        a.write(master, 0, make_command(operation::put, key, one, {}, std::chrono::seconds{after}));
        last[key] = after;
    }
    for (int passed = 50; passed <= 600; passed += 50) {
        around.now += 50s;
        around.wall += 50s;
        around.settle();
        const auto left = std::count_if(last.begin(), last.end(),
                                        [&](const auto& each) { return each.second > passed; });
        EXPECT_EQ(a.content(master).size(), static_cast<std::size_t>(left)) << passed;
    }
}

TEST(host, writes_wait_for_a_master_that_is_away_and_fail_in_the_end) {
    world around;
    auto& b = around.add();
    clone_options hasty;
    hasty.mutation_buffer_interval = 2s;
    const auto clone = b.clone("s", hasty);
    b.write(clone, 1, make_command(operation::put, "x", one));
    around.pass(1s);
    EXPECT_FALSE(b.answers.contains(1));
    around.pass(1500ms);
    EXPECT_EQ(b.answers[1], ec::request_timeout);
    b.write(clone, 2, make_command(operation::put, "y", one));
    auto& a = around.add();
    const auto master = a.master("s");
    around.pass(1s);
    EXPECT_EQ(b.answers[2], ec::none);
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"y", one}}));
}

TEST(host, times_without_a_limit_never_end) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    clone_options patient;
    patient.resync_interval = patient.stale_interval = patient.mutation_buffer_interval
        = std::chrono::nanoseconds::max();
    const auto clone = b.clone("s", patient);
    b.write(clone, 1, make_command(operation::put, "x", one));
    around.pass(10s);
    EXPECT_FALSE(b.statuses[clone].stale);
    EXPECT_EQ(b.stores->next_deadline(), never);
    EXPECT_FALSE(b.answers.contains(1));
    const auto master = a.master("s");
    around.pass(5s);
    EXPECT_EQ(b.answers[1], ec::none);
    EXPECT_EQ(b.content(clone), a.content(master));
    // One that is refused asks again some time, and not all the time.
    around.apart = {a.id};
    around.now += 24h * 365;
    around.settle();
    EXPECT_FALSE(b.statuses[clone].stale);
}

TEST(host, writes_that_no_master_took_in_time_leave_nothing_behind) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    clone_options hasty;
    hasty.mutation_buffer_interval = 1s;
    hasty.mutation_buffer_bytes = 10'000;
    const auto clone = b.clone("s", hasty);
    around.settle();
    const auto add_one = make_command(operation::add, "n", count{1});
    ticket next = 0;
    const auto write = [&] { return b.write(clone, ++next, add_one); };
    write();
    around.settle();
    EXPECT_EQ(b.clone_of(clone).command_bytes(), 0U);
    // One that the master may have is on its way when it is cut off; all others never are.
    around.apart = {a.id};
    write();
    b.stores->flush(around.now, around.wall);
    around.mail.clear();
    for (int day = 0; day < 3; ++day) {
        std::size_t taken = 0;
        while (write() == ec::none) {
            ++taken;
        }
        EXPECT_EQ(b.write(clone, next, add_one), ec::queue_full);
        // Small commands cost what they take in memory, which is more than their bytes.
        EXPECT_LT(taken, 10'000 / (2 * add_one.size()));
        EXPECT_GT(taken, 50U);
        around.pass(2s);
        EXPECT_LT(b.clone_of(clone).command_bytes(), 200U);
    }
    std::size_t late = 0;
    for (const auto& [to, code] : b.answers) {
        late += code == ec::request_timeout ? 1 : 0;
    }
    EXPECT_EQ(late, b.answers.size() - 1);
    // Those that come now have the numbers of those that went.
    for (int more = 0; more < 5; ++more) {
        write();
    }
    around.apart.clear();
    around.pass(5s);
    EXPECT_TRUE(b.clone_of(clone).idle());
    EXPECT_EQ(b.clone_of(clone).command_bytes(), 0U);
    for (ticket each = next - 4; each <= next; ++each) {
        EXPECT_EQ(b.answers.at(each), ec::none) << each;
    }
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"n", count{6}}}));
    EXPECT_EQ(b.content(clone), a.content(master));
}

TEST(host, a_clone_that_ends_says_no_only_to_writes_that_no_master_can_have) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    const auto clone = b.clone("s");
    around.settle();
    b.write(clone, 1, make_command(operation::put, "x", one));
    b.stores->flush(around.now, around.wall);
    b.write(clone, 2, make_command(operation::put, "y", one));
    b.stores->detach(clone);
    EXPECT_EQ(b.answers[1], ec::request_timeout);
    EXPECT_EQ(b.answers[2], ec::shutting_down);
    around.settle();
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"x", one}}));
}

TEST(host, a_clone_writes_as_nobody_but_itself) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    const auto master = a.master("s");
    write_message forged;
    around.lose = [&](std::span<const std::byte> message) {
        byte_reader in{message};
        if (read_head(in)->type == message_type::welcome) {
            const auto welcome = read_welcome(in);
            forged.epoch = welcome->epoch;
            forged.round = welcome->round;
            forged.clone = welcome->clone;
        }
        return false;
    };
    b.clone("s");
    around.settle();
    const auto command = make_command(operation::add, "n", count{1});
    forged.commands = {command};
    const auto own = forged.clone;
    for (std::uint8_t other = 1; other < 100; ++other) {
        forged.clone = writer_id{endpoint_id::bytes_type{other}};
        around.mail.push_back({b.id, a.id, encode("s", forged)});
    }
    around.settle();
    EXPECT_TRUE(a.content(master).empty());
    forged.clone = own;
    around.mail.push_back({b.id, a.id, encode("s", forged)});
    around.settle();
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"n", count{1}}}));
}

TEST(host, an_endpoint_has_only_so_many_stores) {
    world around;
    auto& a = around.add();
    for (std::size_t n = 0; n < stores_max; ++n) {
        a.clone("s" + std::to_string(n));
    }
    error why;
    a.master("t", {}, &why);
    EXPECT_EQ(why, ec::queue_full);
    EXPECT_EQ(a.stores->may_attach_master("t", around), ec::queue_full);
    place::held more;
    clone_options options;
    options.name = "t";
    EXPECT_EQ(a.stores->attach_clone(around.now, 9'999, options, more.values, more.gate, around),
              ec::queue_full);
    a.stores->detach(1);
    EXPECT_EQ(a.stores->may_attach_master("t", around), ec::none);
}

TEST(host, may_attach_master_answers_as_attach_master_would) {
    world around;
    auto& a = around.add();
    auto& b = around.add();
    around.looker = a.id;
    EXPECT_EQ(a.stores->may_attach_master("s", around), ec::none);
    EXPECT_EQ(a.stores->may_attach_master("", around), ec::invalid_topic);
    b.master("s");
    EXPECT_EQ(a.stores->may_attach_master("s", around), ec::master_exists);
    EXPECT_EQ(b.stores->may_attach_master("s", around), ec::master_exists);
}

TEST(host, a_batch_is_all_or_nothing) {
    world around;
    auto& a = around.add();
    const auto master = a.master("s");
    const auto batch_of = [](std::initializer_list<std::vector<std::byte>> parts) {
        std::vector<std::byte> body;
        byte_writer to{body};
        for (const auto& each : parts) {
            to.varint(each.size());
            to.bytes(each);
        }
        command whole;
        whole.what = operation::batch;
        whole.parts = body;
        std::vector<std::byte> out;
        put_command(out, whole);
        return out;
    };
    a.write(master, 1, batch_of({make_command(operation::put, "x", one),
                                 make_command(operation::add, "x", count{1})}));
    EXPECT_EQ(a.answers[1], ec::none);
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"x", count{2}}}));
    a.write(master, 2, batch_of({make_command(operation::erase, "x"),
                                 make_command(operation::append, "x", "text"),
                                 make_command(operation::add, "x", count{1})}));
    EXPECT_EQ(a.answers[2], ec::type_clash);
    EXPECT_EQ(a.content(master), (std::map<data, data>{{"x", count{2}}}));
}

TEST(host, noise_is_counted_and_does_no_harm) {
    world around;
    prng random{5};
    auto& a = around.add();
    const auto master = a.master("s");
    const auto clone = a.clone("s");
    around.settle();
    const endpoint_id stranger{endpoint_id::bytes_type{99}};
    for (int run = 0; run < 50'000; ++run) {
        std::vector<std::byte> noise;
        byte_writer to{noise};
        to.u8(static_cast<std::uint8_t>(random.below(15)));
        to.string("s");
        for (auto more = random.below(80); more > 0; --more) {
            to.u8(static_cast<std::uint8_t>(random.chance(1, 2) ? random.below(4) : random.next()));
        }
        a.stores->received(around.now, around.wall, random.chance(1, 2) ? stranger : a.id, noise);
    }
    a.write(master, 1, make_command(operation::put, "x", one));
    around.mail.clear();
    around.pass(1s);
    EXPECT_EQ(a.content(master).count("x"), 1U);
    EXPECT_EQ(a.content(clone).count("x"), 1U);
}

}  // namespace
}  // namespace bzmq::replica::testing
