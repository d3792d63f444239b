// Two channels over a scripted pipe. What a link owes the layers above: everything once, in order,
// within its window, through loss and reordering, or else a link that says it is dead.
#include "session/channel.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <utility>

#include <gtest/gtest.h>

#include "base/prng.hpp"

namespace bzmq::session {
namespace {

using namespace std::chrono_literals;

endpoint_id id(std::size_t number) {
    endpoint_id::bytes_type bytes{};
    bytes[0] = static_cast<std::uint8_t>(number);
    bytes[1] = static_cast<std::uint8_t>(number >> 8);
    bytes[15] = 1;
    return endpoint_id{bytes};
}

/// A tree that is just the far end, which receives.
subtree_ptr leaf(const endpoint_id& far_end, const endpoint_id& origin) {
    auto tree = std::make_shared<subtree>();
    tree->origin = origin;
    tree->nodes = {{far_end, 0, true}};
    tree->receivers = {far_end};
    return tree;
}

routed_section section(std::uint64_t number, subtree_ptr tree, std::string_view payload) {
    auto body = std::make_shared<section_body>();
    body->origin = tree->origin;
    body->number = number;
    body->records = 1;
    body->payload = shared_bytes::copy_of(payload);
    return {std::move(body), std::move(tree), {1}, 0, 0};
}

/// One channel with what it sent and what it gave its owner.
struct side final : channel_events {
    std::unique_ptr<channel> machine;
    std::deque<shared_bytes> sent;
    std::vector<std::uint64_t> numbers;
    std::vector<endpoint_id> origins;
    std::vector<std::string> controls;
    std::vector<std::size_t> came_before;  ///< sections, of each of these
    std::function<void(const section_body&)> on_section;
    std::size_t largest_block = 0;

    void send_frame(shared_bytes frame) override { sent.push_back(std::move(frame)); }
    block_ptr allocate(std::size_t capacity) override {
        largest_block = std::max(largest_block, capacity);
        return block_ptr{new_heap_block(capacity)};
    }
    void section_received(const std::shared_ptr<const incoming_tree>& tree,
                          routed_section received) override {
        EXPECT_TRUE(tree->deliver_here);
        if (on_section) {
            on_section(*received.body);
        }
        numbers.push_back(received.body->number);
        origins.push_back(received.body->origin);
    }
    void control_received(wire::item_tag, std::span<const std::byte> body) override {
        controls.emplace_back(reinterpret_cast<const char*>(body.data()), body.size());
        came_before.push_back(numbers.size());
    }
    bool give(instant now, const shared_bytes& frame) {
        return machine->receive(now, frame.span(), frame, *this);
    }
};

class channels : public testing::Test {
  protected:
    channels() { start({}); }

    void start(channel_options options) {
        options.self = id(1);
        a.machine = std::make_unique<channel>(options, now);
        options.self = id(2);
        b.machine = std::make_unique<channel>(options, now);
        to_b = leaf(id(2), id(1));
        to_a = leaf(id(1), id(2));
    }
    void flush() {
        a.machine->flush(now, 0, a);
        b.machine->flush(now, 0, b);
    }
    /// Carries what is on its way, once, in order, except for the frames that `lose` takes.
    void carry(const std::function<bool(const shared_bytes&)>& lose = {}) {
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            auto frames = std::move(from->sent);
            from->sent.clear();
            for (const auto& frame : frames) {
                if (!lose || !lose(frame)) {
                    EXPECT_TRUE(to->give(now, frame));
                }
            }
        }
    }
    void run(std::chrono::nanoseconds span,
             const std::function<bool(const shared_bytes&)>& lose = {}) {
        for (const auto end = now + span; now < end; now += 1ms) {
            flush();
            carry(lose);
        }
    }
    static bool is(const shared_bytes& frame, wire::frame_type type) {
        return frame.data()[0] == static_cast<std::byte>(type);
    }
    static std::vector<std::uint64_t> one_to(std::uint64_t last) {
        std::vector<std::uint64_t> out(last);
        for (std::uint64_t i = 0; i < last; ++i) {
            out[i] = i + 1;
        }
        return out;
    }
    static std::size_t count(const side& of, wire::frame_type type) {
        return static_cast<std::size_t>(std::count_if(
            of.sent.begin(), of.sent.end(), [&](const auto& frame) { return is(frame, type); }));
    }

    instant now = 10s;
    side a, b;
    subtree_ptr to_b, to_a;
};

/// A section whose payload has room ahead of it in its block.
routed_section roomy_section(std::uint64_t number, subtree_ptr tree, std::string_view payload,
                             std::size_t room) {
    block_ptr block{new_heap_block(room + payload.size())};
    auto* data = block->data + room;
    std::memcpy(data, payload.data(), payload.size());
    auto made = section(number, std::move(tree), {});
    auto body = std::make_shared<section_body>(*made.body);
    body->payload = {std::move(block), data, payload.size()};
    body->ahead = headroom{room};
    made.body = std::move(body);
    return made;
}

TEST_F(channels, a_payload_with_room_ahead_of_it_is_sent_from_where_it_lies) {
    a.machine->push(now, section(1, to_b, "tells the tree"));
    run(2ms);
    const auto roomy = roomy_section(2, to_b, "payload", 128);
    a.machine->push(now, roomy);
    a.machine->flush(now, 0, a);
    ASSERT_EQ(a.sent.size(), 1U);
    EXPECT_EQ(a.sent[0].block().get(), roomy.body->payload.block().get());
    EXPECT_EQ(a.sent[0].data() + a.sent[0].size(), roomy.body->payload.data() + 7);
    run(2ms);
    EXPECT_EQ(b.numbers, one_to(2));
}

TEST_F(channels, room_ahead_of_a_payload_serves_one_link_only) {
    a.machine->push(now, section(1, to_b, "tells the tree"));
    run(2ms);
    const auto roomy = roomy_section(2, to_b, "payload", 128);
    a.machine->push(now, roomy);
    a.machine->flush(now, 0, a);
    const auto first = shared_bytes::copy_of(a.sent[0].view());
    auto again = roomy;
    a.machine->push(now, again);
    a.machine->flush(now, 0, a);
    ASSERT_EQ(a.sent.size(), 2U);
    EXPECT_EQ(a.sent[0].view(), first.view());
    EXPECT_NE(a.sent[1].block().get(), a.sent[0].block().get());
}

TEST_F(channels, too_little_room_ahead_of_a_payload_is_left_alone) {
    a.machine->push(now, section(1, to_b, "tells the tree"));
    run(2ms);
    const auto roomy = roomy_section(2, to_b, "payload", 8);
    std::memset(const_cast<std::byte*>(roomy.body->payload.data()) - 8, 0x55, 8);
    a.machine->push(now, roomy);
    run(2ms);
    EXPECT_EQ(b.numbers, one_to(2));
    for (std::size_t i = 1; i <= 8; ++i) {
        EXPECT_EQ(*(roomy.body->payload.data() - i), std::byte{0x55});
    }
}

TEST_F(channels, what_a_relay_has_read_is_its_to_write_over_unless_others_hold_it) {
    std::vector<std::size_t> room;
    b.on_section = [&](const section_body& body) { room.push_back(body.ahead.size()); };
    for (int i = 0; i < 2; ++i) {
        a.machine->push(now, section(1, to_b, "one"));
        a.machine->push(now, section(2, to_b, "two"));
        a.machine->flush(now, 0, a);
        const auto held = std::exchange(a.sent, {}).front();  // The sender holds it, too.
        const auto alone = shared_bytes::copy_of(held.span());
        EXPECT_TRUE(b.give(now, i == 0 ? held : alone));
    }
    ASSERT_EQ(room.size(), 4U);
    EXPECT_EQ(room[0], 0U);
    EXPECT_EQ(room[1], 0U);
    // The first may use all that was ahead of it; the second must not reach into the first.
    EXPECT_GT(room[2], 20U);
    EXPECT_GT(room[3], 15U);
    EXPECT_LT(room[3], room[2]);
}

TEST_F(channels, a_small_section_does_not_keep_a_large_frame_alive) {
    std::vector<shared_bytes> kept;
    b.on_section = [&](const section_body& body) { kept.push_back(body.payload); };
    a.machine->push(now, section(1, to_b, "small"));
    a.machine->push(now, section(2, to_b, std::string(20'000, 'x')));
    a.machine->flush(now, 0, a);
    const auto frame = std::exchange(a.sent, {}).front();
    EXPECT_TRUE(b.give(now, frame));
    const auto inside = [&](const shared_bytes& part) {
        return part.data() >= frame.data() && part.data() < frame.data() + frame.size();
    };
    ASSERT_EQ(kept.size(), 2U);
    EXPECT_FALSE(inside(kept[0]));
    EXPECT_TRUE(inside(kept[1]));
}

TEST_F(channels, what_is_pushed_arrives_once_in_order_both_ways) {
    for (std::uint64_t i = 1; i <= 1000; ++i) {
        a.machine->push(now, section(i, to_b, "there"));
        b.machine->push(now, section(i, to_a, "back"));
        if (i % 100 == 0) {
            run(2ms);
        }
    }
    run(20ms);
    EXPECT_EQ(b.numbers, one_to(1000));
    EXPECT_EQ(a.numbers, one_to(1000));
    EXPECT_TRUE(a.machine->drained());
    EXPECT_TRUE(b.machine->drained());
    EXPECT_EQ(a.machine->counters().retransmitted_frames, 0U);
    EXPECT_EQ(b.machine->counters().received_messages, 1000U);
}

TEST_F(channels, what_is_pushed_arrives_once_in_order_through_loss_copies_and_reordering) {
    for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
        a = side{};
        b = side{};
        channel_options options;
        options.frame_bytes = 1024;
        options.peer_timeout = 60s;
        start(options);
        prng random{seed};
        struct flight {
            side* to;
            shared_bytes frame;
            instant due;
        };
        std::vector<flight> flying;
        std::uint64_t pushed = 0;
        for (const auto end = now + 60s; now < end; now += 1ms) {
            if (pushed == 2000 && a.machine->drained() && b.machine->drained()) {
                break;
            }
            if (pushed < 2000 && random.below(3) != 0) {
                ++pushed;
                a.machine->push(now, section(pushed, to_b, std::string(random.below(200), 'x')));
                b.machine->push(now, section(pushed, to_a, "y"));
                if (pushed % 50 == 0) {
                    const auto text = std::to_string(pushed);
                    a.machine->push_control(now, wire::item_tag::filter,
                                            std::as_bytes(std::span{text.data(), text.size()}));
                }
            }
            flush();
            for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
                for (const auto& frame : from->sent) {
                    const auto luck = random.below(20);  // Lost, twice, late, or as it should be.
                    for (int copy = luck == 0 ? 0 : luck == 1 ? 2 : 1; copy > 0; --copy) {
                        flying.push_back({to, frame, now + (luck < 3 ? 4ms : 0ms)});
                    }
                }
                from->sent.clear();
            }
            for (std::size_t i = 0; i < flying.size();) {
                if (flying[i].due <= now) {
                    const auto next = flying[i];
                    flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(i));
                    ASSERT_TRUE(next.to->give(now, next.frame)) << "seed " << seed;
                } else {
                    ++i;
                }
            }
        }
        EXPECT_EQ(b.numbers, one_to(2000)) << "seed " << seed;
        EXPECT_EQ(a.numbers, one_to(2000)) << "seed " << seed;
        EXPECT_EQ(b.controls.size(), 40U) << "seed " << seed;
        EXPECT_TRUE(a.machine->drained()) << "seed " << seed;
    }
}

/// Bytes of which no two stretches are alike.
std::string varied(std::size_t size, std::uint64_t seed = 1) {
    prng random{seed};
    std::string out(size, ' ');
    for (auto& each : out) {
        each = static_cast<char>(random.below(256));
    }
    return out;
}

/// What endpoints tell each other, rather than messages.
routed_section control(std::uint64_t number, subtree_ptr tree, std::string_view payload,
                       std::uint8_t more_flags = 0) {
    auto made = section(number, std::move(tree), payload);
    auto body = std::make_shared<section_body>(*made.body);
    body->flags = static_cast<std::uint8_t>(
        static_cast<std::uint8_t>(wire::section_kind::control) | more_flags);
    body->records = 0;
    made.body = std::move(body);
    return made;
}
routed_section of_a_store(std::uint64_t number, subtree_ptr tree, std::string_view payload) {
    return control(number, std::move(tree), payload, wire::section_bulk);
}

class parts : public channels {
  protected:
    /// Carries both ways for `span` as a line does that takes so many bytes in a second; false where
    /// somebody was silent for too long.
    bool crawl(std::chrono::nanoseconds span, std::size_t bytes_per_second) {
        for (const auto end = now + span; now < end; now += 1ms) {
            flush();
            for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
                auto& spare = spare_[from == &a ? 0 : 1];
                spare = std::min(spare + bytes_per_second / 1000, std::size_t{1} << 20);
                while (!from->sent.empty() && from->sent.front().size() <= spare) {
                    spare -= from->sent.front().size();
                    EXPECT_TRUE(to->give(now, from->sent.front()));
                    from->sent.pop_front();
                }
                if (from->sent.empty()) {
                    spare = 0;
                }
            }
            if (a.machine->timed_out(now) || b.machine->timed_out(now)
                || a.machine->unanswered(now)) {
                return false;
            }
        }
        return true;
    }
    /// Carries both ways for `span` as a fast line does on which each frame takes so long.
    void run_far(std::chrono::nanoseconds span, std::chrono::nanoseconds delay) {
        for (const auto end = now + span; now < end; now += 1ms) {
            flush();
            for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
                auto& line = flying_[from == &a ? 0 : 1];
                for (auto& frame : std::exchange(from->sent, {})) {
                    line.emplace_back(now + delay, std::move(frame));
                }
                for (; !line.empty() && line.front().first <= now; line.pop_front()) {
                    EXPECT_TRUE(to->give(now, line.front().second));
                }
            }
        }
    }
    std::size_t spare_[2] = {};
    std::deque<std::pair<instant, shared_bytes>> flying_[2];
};

TEST_F(parts, a_large_section_arrives_as_it_was) {
    const auto payload = varied(1'000'001);
    std::string came;
    b.on_section = [&](const section_body& body) {
        came = body.payload.view();
        EXPECT_EQ(body.records, 1U);
        EXPECT_EQ(body.flags, 0U);
    };
    std::size_t largest = 0;
    std::size_t batches = 0;
    a.machine->push(now, section(1, to_b, payload));
    EXPECT_GE(a.machine->queued_bytes(), payload.size());
    run(20ms, [&](const shared_bytes& frame) {
        largest = std::max(largest, frame.size());
        batches += is(frame, wire::frame_type::batch) ? 1 : 0;
        return false;
    });
    EXPECT_EQ(b.numbers, one_to(1));
    EXPECT_TRUE(came == payload);
    EXPECT_LT(largest, part_bytes_min + 1024);
    EXPECT_EQ(batches, payload.size() / part_bytes_min + 1);
    EXPECT_EQ(a.machine->queued_bytes(), 0U);
    EXPECT_TRUE(a.machine->drained());
    EXPECT_EQ(a.machine->counters().sent_messages, 1U);
    EXPECT_EQ(b.machine->counters().received_messages, 1U);
    EXPECT_EQ(b.machine->partial_bytes(), 0U);
}

TEST_F(parts, what_fits_one_frame_is_not_cut) {
    a.machine->push(now, section(1, to_b, std::string(part_bytes_min, 'x')));
    a.machine->push(now, section(2, to_b, std::string(part_bytes_min + 1, 'x')));
    flush();
    EXPECT_EQ(count(a, wire::frame_type::batch), 2U);
    run(20ms);
    EXPECT_EQ(b.numbers, one_to(2));
}

TEST_F(parts, large_and_small_sections_arrive_in_order_through_loss_and_copies) {
    for (const std::uint64_t seed : {1, 2, 3, 4}) {
        a = side{};
        b = side{};
        channel_options options;
        options.peer_timeout = 60s;
        start(options);
        prng random{seed};
        std::vector<std::string> sent;
        std::vector<std::string> came;
        b.on_section = [&](const section_body& body) { came.emplace_back(body.payload.view()); };
        for (std::uint64_t i = 1; i <= 30; ++i) {
            const bool large = random.below(3) == 0;
            sent.push_back(varied(random.below(large ? 1'000'000 : 5'000), i));
            a.machine->push(now, section(i, to_b, sent.back()));
        }
        for (const auto end = now + 60s; !a.machine->drained() && now < end; now += 1ms) {
            flush();
            for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
                for (const auto& frame : std::exchange(from->sent, {})) {
                    const auto luck = random.below(10);  // Lost, twice, or as it should be.
                    for (int copy = luck == 0 ? 0 : luck == 1 ? 2 : 1; copy > 0; --copy) {
                        ASSERT_TRUE(to->give(now, frame)) << "seed " << seed;
                    }
                }
            }
        }
        EXPECT_EQ(b.numbers, one_to(30)) << "seed " << seed;
        EXPECT_TRUE(came == sent) << "seed " << seed;
    }
}

TEST_F(parts, a_slow_link_is_heard_of_all_along_and_carries_what_is_urgent) {
    channel_options options;
    options.peer_timeout = 1s;
    options.heartbeat_interval = 250ms;
    start(options);
    constexpr std::size_t slow = 256 * 1024;
    a.machine->push(now, section(1, to_b, varied(3 << 20)));
    a.machine->push(now, of_a_store(2, to_b, varied(3 << 20)));
    ASSERT_TRUE(crawl(4s, slow));
    EXPECT_TRUE(b.numbers.empty());
    for (std::uint64_t i = 100; i < 110; ++i) {
        a.machine->push(now, control(i, to_b, "?"));
        const auto asked = now;
        while (b.numbers.size() < i - 99 && now < asked + 10s) {
            ASSERT_TRUE(crawl(10ms, slow));
        }
        EXPECT_LT(now - asked, 1500ms) << "no more than some parts ahead of it";
    }
    ASSERT_TRUE(crawl(25s, slow));
    auto last = b.numbers;
    last.erase(last.begin(), last.begin() + 10);
    std::sort(last.begin(), last.end());
    EXPECT_EQ(last, one_to(2)) << "both, though neither waited for all of the other";
    EXPECT_EQ(a.machine->counters().retransmitted_frames, 0U);
}

TEST_F(parts, a_long_way_carries_more_than_one_of_them_at_a_time) {
    run_far(3s, 400ms);
    a.machine->push(now, section(1, to_b, varied(8 << 20)));
    const auto began = now;
    while (b.numbers.empty() && now < began + 60s) {
        run_far(100ms, 400ms);
    }
    EXPECT_LT(now - began, 15s) << "51 s, one by one";
    EXPECT_EQ(a.machine->counters().retransmitted_frames, 0U);
}

TEST_F(parts, sections_of_stores_keep_their_order_and_need_no_credit) {
    b.machine->pause(true);
    a.machine->push(now, section(1'000, to_b, varied(8 << 20)));
    run(100ms);
    EXPECT_TRUE(b.numbers.empty()) << "half of it waits for credit";
    a.machine->push(now, of_a_store(1, to_b, varied(2 << 20)));
    a.machine->push(now, of_a_store(2, to_b, "small"));
    a.machine->push(now, of_a_store(3, to_b, varied(1 << 20)));
    a.machine->push(now, control(500, to_b, "urgent"));
    run(100ms);
    EXPECT_EQ(b.numbers, (std::vector<std::uint64_t>{500, 1, 2, 3}));
    b.machine->pause(false);
    run(100ms);
    EXPECT_EQ(b.numbers.back(), 1'000U);
}

TEST_F(parts, messages_have_their_share_beside_small_sections_of_stores) {
    channel_options options;
    options.window_bytes = 512 * 1024;
    start(options);
    const std::string payload(50'000, 'x');
    for (std::uint64_t i = 1; i <= 400; ++i) {
        a.machine->push(now, of_a_store(i, to_b, payload));
    }
    run_far(1s, 25ms);
    for (std::uint64_t i = 1'001; i <= 1'003; ++i) {
        a.machine->push(now, section(i, to_b, payload));
    }
    run_far(300ms, 25ms);
    EXPECT_EQ(std::count_if(b.numbers.begin(), b.numbers.end(), [](auto n) { return n > 1'000; }), 3);
    EXPECT_GT(a.machine->bulk_sections(), 100U) << "they did not wait for the end of these";
}

TEST_F(parts, a_section_stops_where_its_credit_ends) {
    channel_options options;
    options.window_bytes = 512 * 1024;
    start(options);
    b.machine->pause(true);
    a.machine->push(now, section(1, to_b, varied(2 << 20)));
    run(100ms);
    EXPECT_LT(a.machine->counters().sent_bytes, options.window_bytes + part_bytes_min + 1024);
    EXPECT_GE(a.machine->counters().sent_bytes, options.window_bytes);
    EXPECT_EQ(a.machine->unacknowledged_bytes(), 0U);
    EXPECT_LT(a.machine->queued_bytes(), (2U << 20) - options.window_bytes + 1024);
    b.machine->pause(false);
    run(100ms);
    EXPECT_EQ(b.numbers, one_to(1));
}

TEST_F(parts, a_link_that_breaks_gives_a_begun_section_back_whole) {
    channel_options options;
    options.window_bytes = 512 * 1024;
    start(options);
    const auto payload = varied(2 << 20);
    const auto value = varied(1 << 20, 2);
    a.machine->push(now, section(1, to_b, "small"));
    a.machine->push(now, section(2, to_b, payload));
    a.machine->push(now, of_a_store(3, to_b, value));
    a.machine->push(now, section(4, to_b, "behind"));
    flush();
    carry();
    flush();
    carry([](const auto&) { return true; });
    ASSERT_GT(b.machine->partial_bytes(), 0U);
    const auto back = a.machine->take_undelivered();
    std::vector<std::uint64_t> numbers;
    for (const auto& each : back) {
        numbers.push_back(each.body->number);
        if (each.body->number == 2) {
            EXPECT_TRUE(each.body->payload.view() == payload);
        } else if (each.body->number == 3) {
            EXPECT_TRUE(each.body->payload.view() == value);
        }
    }
    std::erase(numbers, 1U);  // Confirmed or not.
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(numbers, (std::vector<std::uint64_t>{2, 3, 4}));
    EXPECT_EQ(a.machine->queued_bytes(), 0U);
    EXPECT_TRUE(a.machine->drained());
}

TEST_F(parts, a_link_state_record_overtakes_no_large_section_ahead_of_it) {
    const auto left = std::as_bytes(std::span{"left", 4});
    for (std::uint64_t i = 1; i <= 3; ++i) {
        a.machine->push(now, section(i, to_b, varied(std::size_t{1} << 20, i)));
    }
    flush();
    a.machine->push_control(now, wire::item_tag::topology, left);
    a.machine->push(now, section(4, to_b, varied(std::size_t{1} << 20)));
    a.machine->push_control(now, wire::item_tag::topology, left);
    run(100ms);
    EXPECT_EQ(b.numbers, one_to(4));
    ASSERT_EQ(b.came_before.size(), 2U);
    EXPECT_EQ(b.came_before[0], 3U);
    EXPECT_EQ(b.came_before[1], 4U) << "each waits for what is ahead of it";
}

TEST_F(parts, a_link_state_record_waits_for_a_large_section_not_for_long) {
    channel_options options;
    options.peer_timeout = 1s;
    options.heartbeat_interval = 250ms;
    start(options);
    a.machine->push(now, section(1, to_b, varied(std::size_t{3} << 20)));
    flush();
    a.machine->push_control(now, wire::item_tag::topology, std::as_bytes(std::span{"left", 4}));
    const auto began = now;
    while (b.controls.empty() && now < began + 20s) {
        ASSERT_TRUE(crawl(10ms, 256 * 1024));
    }
    EXPECT_LT(now - began, 2500ms) << "others' records wait as well";
    EXPECT_TRUE(b.numbers.empty());
}

TEST_F(parts, a_link_state_record_does_not_wait_for_a_section_without_credit) {
    channel_options options;
    options.window_bytes = 512 * 1024;
    start(options);
    b.machine->pause(true);
    a.machine->push(now, section(1, to_b, varied(2 << 20)));
    run(100ms);
    a.machine->push_control(now, wire::item_tag::topology, std::as_bytes(std::span{"left", 4}));
    run(5ms);
    EXPECT_EQ(b.controls.size(), 1U);
    EXPECT_TRUE(b.numbers.empty());
}

TEST_F(parts, dropping_the_oldest_leaves_what_has_begun) {
    channel_options options;
    options.window_bytes = 256 * 1024;
    start(options);
    b.machine->pause(true);
    a.machine->push(now, section(1, to_b, varied(1 << 20)));
    a.machine->push(now, section(2, to_b, varied(1 << 20)));
    run(20ms);
    EXPECT_EQ(a.machine->drop_oldest(0, 0), 1U);
    b.machine->pause(false);
    run(50ms);
    EXPECT_EQ(b.numbers, one_to(1));
    EXPECT_EQ(a.machine->queued_bytes(), 0U);
    EXPECT_EQ(a.machine->queued_messages(), 0U);
}

TEST_F(channels, knows_which_reliable_sections_it_still_holds) {
    const auto reliable = [&](std::uint64_t number, const subtree_ptr& tree) {
        auto made = section(number, tree, "payload");
        auto body = std::make_shared<section_body>(*made.body);
        body->flags = static_cast<std::uint8_t>(wire::section_kind::reliable);
        made.body = std::move(body);
        return made;
    };
    auto both = std::make_shared<subtree>();
    both->origin = id(1);
    both->nodes = {{id(2), 1, true}, {id(3), 0, true}};
    both->receivers = {id(2), id(3)};
    const auto to_third = leaf(id(3), id(1));
    const auto to_fourth = leaf(id(4), id(1));
    const auto other_origin = leaf(id(2), id(9));
    const auto holds = [&](const subtree_ptr& tree) {
        return a.machine->holds(reliable(1, tree));
    };
    EXPECT_FALSE(holds(both));
    a.machine->push(now, reliable(1, both));
    a.machine->push(now, section(2, to_b, "best effort"));
    for (int i = 0; i < 2; ++i) {  // Queued, then sent and not confirmed.
        EXPECT_TRUE(holds(both));
        EXPECT_TRUE(holds(to_b));
        EXPECT_TRUE(holds(to_third));
        EXPECT_FALSE(holds(to_fourth));
        EXPECT_FALSE(holds(other_origin));
        EXPECT_FALSE(a.machine->holds(reliable(2, to_b))) << "no reliable one";
        EXPECT_FALSE(a.machine->holds(reliable(3, to_b)));
        a.machine->flush(now, 0, a);
    }
    run(20ms);
    EXPECT_FALSE(holds(both)) << "the far end has it: who sends it again has lost it there";
    a.machine->push(now, reliable(1, both));
    a.machine->take_undelivered();
    EXPECT_FALSE(holds(both));
}

TEST_F(channels, control_sections_overtake_data_and_need_no_credit) {
    channel_options options;
    options.window_bytes = 16 * 1024;
    start(options);
    b.machine->pause(true);
    for (std::uint64_t i = 1; i <= 100; ++i) {
        a.machine->push(now, section(i, to_b, std::string(1000, 'x')));
    }
    run(20ms);
    ASSERT_LT(b.numbers.size(), 100U);
    auto question = section(1'000, to_b, "?");
    auto body = std::make_shared<section_body>(*question.body);
    body->flags = static_cast<std::uint8_t>(wire::section_kind::control);
    question.body = std::move(body);
    a.machine->push(now, std::move(question));
    EXPECT_EQ(a.machine->urgent_sections(), 1U);
    run(5ms);
    EXPECT_EQ(b.numbers.back(), 1'000U);
    EXPECT_EQ(a.machine->urgent_sections(), 0U);
    EXPECT_LT(b.numbers.size(), 100U);
    EXPECT_FALSE(a.machine->drained());
}

TEST_F(channels, the_window_bounds_what_a_paused_receiver_is_sent) {
    channel_options options;
    options.frame_bytes = 1024;
    options.window_bytes = 8 * 1024;
    start(options);
    b.machine->pause(true);
    for (std::uint64_t i = 1; i <= 200; ++i) {
        a.machine->push(now, section(i, to_b, std::string(500, 'x')));
    }
    run(2s);
    const auto on_the_way = a.machine->counters().sent_bytes;
    EXPECT_GE(on_the_way, options.window_bytes);
    EXPECT_LT(on_the_way, options.window_bytes + 2 * options.frame_bytes);
    EXPECT_EQ(a.machine->unacknowledged_bytes(), 0U) << "a paused receiver still confirms receipt";
    EXPECT_LT(b.numbers.size(), 200U);
    EXPECT_FALSE(a.machine->timed_out(now));
    b.machine->pause(false);
    run(100ms);
    EXPECT_EQ(b.numbers, one_to(200));
}

TEST_F(channels, a_peer_that_sends_on_without_credit_is_found_out) {
    channel_options options;
    options.frame_bytes = 1024;
    options.overdraft_bytes = 32 * 1024;
    options.window_bytes = 1 << 20;  // a's own choice
    start(options);
    run(5ms);
    b.machine->pause(true);
    std::size_t came = 0;
    for (std::uint64_t i = 1; i <= 200; ++i) {
        a.machine->push(now, section(i, to_b, std::string(900, 'x')));
        flush();
        bool kept = true;
        for (const auto& frame : std::exchange(a.sent, {})) {
            came += is(frame, wire::frame_type::batch) ? frame.size() : 0;
            kept = kept && b.give(now, frame);
        }
        if (!kept) {
            break;
        }
        ASSERT_FALSE(b.machine->overdrawn());
        carry();
    }
    EXPECT_TRUE(b.machine->overdrawn());
    EXPECT_GE(came, options.overdraft_bytes);
    EXPECT_LT(came, options.overdraft_bytes + 3 * options.frame_bytes);
}

TEST_F(channels, whoever_keeps_to_its_credit_may_use_all_of_it) {
    channel_options options;
    options.frame_bytes = 1024;
    options.overdraft_bytes = options.window_bytes = 8 * 1024;
    start(options);
    for (std::uint64_t i = 1; i <= 1'000; ++i) {
        a.machine->push(now, section(i, to_b, std::string(1'900, 'x')));
    }
    prng random{3};
    while (b.numbers.size() < 1'000 && now < 100s) {
        b.machine->pause(!b.machine->paused() && random.below(2) == 0);
        // What needs no credit comes whatever is owed, and is no offence.
        a.machine->push_control(now, wire::item_tag::topology, std::vector<std::byte>(700));
        run(2ms);  // Fails where b refuses a frame.
    }
    EXPECT_EQ(b.numbers, one_to(1'000));
}

TEST_F(channels, who_talks_but_reads_nothing_is_sent_little_and_given_up) {
    channel_options options;
    options.window_bytes = 256 * 1024;
    start(options);
    run(5ms);
    std::size_t piled_up = 0;
    const auto began = now;
    for (std::uint64_t i = 1; !a.machine->unanswered(now) && now < began + 60s; ++i, now += 1ms) {
        a.machine->push(now, section(i, to_b, std::string(1'000, 'x')));
        a.machine->flush(now, 0, a);
        for (const auto& frame : std::exchange(a.sent, {})) {
            piled_up += frame.size();
        }
        // It asks for all of it again and again.
        const auto gap = wire::encode(wire::ack_frame{{0, 0}, true});
        EXPECT_TRUE(a.give(now, shared_bytes::copy_of(gap)));
        const auto beat = wire::encode(wire::heartbeat_frame{});
        EXPECT_TRUE(a.give(now, shared_bytes::copy_of(beat)));
    }
    EXPECT_FALSE(a.machine->timed_out(now));
    EXPECT_GE(now - began, 5 * options.peer_timeout - 10ms);
    EXPECT_LE(now - began, 5 * options.peer_timeout + 2s);
    EXPECT_LT(piled_up, 3 * options.window_bytes + 25 * options.frame_bytes);
    EXPECT_GT(a.machine->counters().retransmitted_frames, 0U);
}

TEST_F(channels, who_has_nothing_to_acknowledge_must_echo) {
    run(5ms);
    const auto began = now;
    for (; !a.machine->unanswered(now) && now < began + 60s; now += 10ms) {
        a.machine->flush(now, 0, a);
        EXPECT_TRUE(a.give(now, shared_bytes::copy_of(wire::encode(wire::heartbeat_frame{}))));
    }
    EXPECT_LE(now - began, 5 * channel_options{}.peer_timeout + 10ms);
}

TEST_F(channels, a_subscriber_that_stays_full_for_long_is_no_reason_to_give_its_link_up) {
    channel_options options;
    options.window_bytes = 64 * 1024;
    start(options);
    run(5ms);
    b.machine->pause(true);
    for (std::uint64_t i = 1; i <= 200; ++i) {
        a.machine->push(now, section(i, to_b, std::string(1'000, 'x')));
    }
    for (const auto end = now + 120s; now < end;) {
        run(10ms);
        ASSERT_FALSE(a.machine->unanswered(now));
        ASSERT_FALSE(b.machine->unanswered(now));
    }
    EXPECT_FALSE(a.machine->drained());
}

TEST_F(channels, a_large_frame_on_a_slow_path_may_take_its_time) {
    run(5ms);
    // Sections are cut, link-state records are not.
    a.machine->push_control(now, wire::item_tag::filter, std::vector<std::byte>(std::size_t{4} << 20));
    a.machine->flush(now, 0, a);
    a.sent.clear();
    EXPECT_FALSE(a.machine->unanswered(now + 60s));
    EXPECT_TRUE(a.machine->unanswered(now + 90s));
}

TEST_F(channels, repeats_back_off_only_while_nothing_is_acknowledged) {
    channel_options options;
    options.frame_bytes = 1024;
    start(options);
    run(5ms);
    for (std::uint64_t i = 1; i <= 300; ++i) {
        a.machine->push(now, section(i, to_b, std::string(1'000, 'x')));
    }
    prng random{5};
    run(8s, [&](const auto& frame) {
        return is(frame, wire::frame_type::batch) && random.below(3) == 0;
    });
    EXPECT_EQ(b.numbers, one_to(300));
}

TEST_F(channels, control_records_pass_a_closed_window) {
    channel_options options;
    options.window_bytes = 1;
    start(options);
    b.machine->pause(true);
    a.machine->push(now, section(1, to_b, "x"));
    run(10ms);
    a.machine->push(now, section(2, to_b, "x"));
    a.machine->push_control(now, wire::item_tag::topology, std::as_bytes(std::span{"news", 4}));
    run(10ms);
    EXPECT_EQ(b.numbers, one_to(1));
    EXPECT_EQ(b.controls, std::vector<std::string>{"news"});
}

TEST_F(channels, an_idle_link_sends_at_once_and_a_busy_one_packs) {
    flush();
    a.sent.clear();
    for (std::uint64_t i = 1; i <= 4; ++i) {
        a.machine->push(now, section(i, to_b, "x"));
        a.machine->flush(now, 0, a);
        EXPECT_EQ(a.sent.size(), i) << "a message on an idle link must leave in its own turn";
    }
    for (std::uint64_t i = 5; i <= 50; ++i) {
        a.machine->push(now, section(i, to_b, "x"));
        a.machine->flush(now, 0, a);
    }
    EXPECT_EQ(a.sent.size(), 4U) << "with four frames on their way the rest waits";
    EXPECT_EQ(a.machine->queued_messages(), 46U);
    EXPECT_LE(a.machine->next_deadline(), now + 1ms);
    now += 1ms;
    a.machine->flush(now, 0, a);
    EXPECT_EQ(a.sent.size(), 5U) << "but not for long, and then in one frame";
    EXPECT_EQ(a.machine->queued_messages(), 0U);
}

TEST_F(channels, an_acknowledgement_releases_what_a_busy_link_holds) {
    flush();
    carry();
    a.sent.clear();
    for (std::uint64_t i = 1; i <= 10; ++i) {
        a.machine->push(now, section(i, to_b, "x"));
        a.machine->flush(now, 0, a);
    }
    ASSERT_EQ(a.machine->queued_messages(), 6U);
    carry();
    b.machine->flush(now, 0, b);
    carry();
    a.machine->flush(now, 0, a);
    EXPECT_EQ(a.machine->queued_messages(), 0U);
}

TEST_F(channels, a_lost_tail_is_noticed_by_the_heartbeat) {
    run(5ms);
    a.machine->push(now, section(1, to_b, "the last word"));
    run(1ms, [](const auto& frame) { return is(frame, wire::frame_type::batch); });
    EXPECT_TRUE(b.numbers.empty());
    run(500ms);
    EXPECT_TRUE(b.numbers.empty()) << "nothing tells of it before the next heartbeat";
    run(700ms);
    EXPECT_EQ(b.numbers, one_to(1));
    EXPECT_TRUE(a.machine->drained());
}

TEST_F(channels, a_lost_acknowledgement_is_made_up_for) {
    run(5ms);
    a.machine->push(now, section(1, to_b, "x"));
    run(10ms, [](const auto& frame) { return is(frame, wire::frame_type::ack); });
    EXPECT_EQ(b.numbers, one_to(1));
    EXPECT_FALSE(a.machine->drained());
    run(1100ms);
    EXPECT_TRUE(a.machine->drained());
    EXPECT_EQ(b.numbers, one_to(1));
}

TEST_F(channels, take_undelivered_gives_exactly_the_unconfirmed_in_order) {
    run(5ms);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        a.machine->push(now, section(i, to_b, "confirmed"));
    }
    run(10ms);
    ASSERT_TRUE(a.machine->drained());
    for (std::uint64_t i = 4; i <= 12; ++i) {  // Some in flight, the rest held.
        a.machine->push(now, section(i, to_b, "not confirmed"));
        a.machine->flush(now, 0, a);
    }
    ASSERT_GT(a.machine->queued_messages(), 0U);
    ASSERT_GT(a.machine->unacknowledged_bytes(), 0U);
    std::vector<std::uint64_t> left;
    for (const auto& each : a.machine->take_undelivered()) {
        left.push_back(each.body->number);
        EXPECT_EQ(each.tree, to_b);
        EXPECT_EQ(each.distances, std::vector<std::uint64_t>{1});
    }
    EXPECT_EQ(left, (std::vector<std::uint64_t>{4, 5, 6, 7, 8, 9, 10, 11, 12}));
    EXPECT_EQ(a.machine->queued_bytes(), 0U);
    EXPECT_EQ(a.machine->unacknowledged_bytes(), 0U);
    EXPECT_TRUE(a.machine->take_undelivered().empty());
}

TEST_F(channels, drop_oldest_spares_all_but_best_effort) {
    for (std::uint64_t i = 1; i <= 10; ++i) {
        auto each = section(i, to_b, "x");
        auto body = *each.body;
        body.flags = static_cast<std::uint8_t>(i <= 2 ? wire::section_kind::reliable
                                                      : wire::section_kind::best_effort);
        each.body = std::make_shared<section_body>(body);
        a.machine->push(now, std::move(each));
    }
    EXPECT_EQ(a.machine->drop_oldest(1'000'000, 5), 5U);
    EXPECT_EQ(a.machine->queued_messages(), 5U);
    run(10ms);
    EXPECT_EQ(b.numbers, (std::vector<std::uint64_t>{1, 2, 8, 9, 10}));
}

TEST_F(channels, silence_times_out_and_heartbeats_do_not) {
    run(10s);
    EXPECT_FALSE(a.machine->timed_out(now));
    const auto last = now;
    EXPECT_FALSE(a.machine->timed_out(last + 2s));
    EXPECT_TRUE(a.machine->timed_out(last + 3s));
    EXPECT_LE(a.machine->next_deadline(), last + 3s);
}

TEST_F(channels, heartbeats_measure_the_round_trip_and_tell_the_view) {
    for (int i = 0; i < 3000; ++i, now += 1ms) {
        a.machine->flush(now, 77, a);
        b.machine->flush(now, 88, b);
        if (i % 7 == 0) {
            carry();  // Frames wait up to 7 ms.
        }
    }
    EXPECT_EQ(b.machine->peer_view_hash(), 77U);
    EXPECT_EQ(a.machine->peer_view_hash(), 88U);
    EXPECT_GT(a.machine->round_trip(), 0ns);
    EXPECT_LE(a.machine->round_trip(), 14ms);
}

TEST_F(channels, an_impossible_echo_is_no_round_trip) {
    for (const std::uint64_t clock : {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{0},
                                      (std::uint64_t{1} << 63) - 1}) {
        now = 100s;
        EXPECT_TRUE(a.give(now, shared_bytes::copy_of(wire::encode_echo(clock))));
        EXPECT_EQ(a.machine->round_trip(), 0ns) << clock;
    }
}

TEST_F(channels, more_trees_than_slots_evict_and_define_anew) {
    constexpr std::size_t trees = wire::tree_slots_max + 300;
    std::vector<subtree_ptr> all;
    for (std::size_t i = 0; i < trees; ++i) {
        all.push_back(leaf(id(2), id(1000 + i)));
    }
    std::uint64_t number = 0;
    std::vector<endpoint_id> expected;
    for (int round = 0; round < 3; ++round) {
        for (const auto& tree : all) {
            a.machine->push(now, section(++number, tree, "x"));
            expected.push_back(tree->origin);
        }
        run(20ms);
    }
    EXPECT_EQ(b.numbers, one_to(number));
    EXPECT_EQ(b.origins, expected);
}

TEST_F(channels, a_tree_in_use_keeps_its_slot) {
    std::vector<std::size_t> sizes;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        const auto before = a.machine->counters().sent_bytes;
        a.machine->push(now, section(i, to_b, "x"));
        run(5ms);
        sizes.push_back(a.machine->counters().sent_bytes - before);
    }
    // The first frame defines two nodes (18 bytes each) and the tree (6 bytes), the next ones nothing.
    EXPECT_EQ(sizes, (std::vector<std::size_t>{sizes[2] + 42, sizes[2], sizes[2]}));
    EXPECT_EQ(b.numbers, one_to(3));
}

TEST_F(channels, trees_of_many_nodes_are_bounded_in_sum) {
    channel_options options;
    options.window_bytes = 1 << 30;
    start(options);
    std::vector<subtree_ptr> all;
    constexpr std::size_t nodes = 60'000;
    for (std::size_t i = 0; i < 40; ++i) {
        auto tree = std::make_shared<subtree>();
        tree->origin = id(1);
        tree->nodes.push_back({id(2), nodes - 1, true});
        tree->receivers.push_back(id(2));
        for (std::size_t n = 1; n < nodes; ++n) {
            tree->nodes.push_back({id(n + 2), 0, false});
        }
        all.push_back(std::move(tree));
    }
    std::uint64_t number = 0;
    for (int round = 0; round < 2; ++round) {
        for (const auto& tree : all) {
            a.machine->push(now, section(++number, tree, "x"));
            run(2ms);
        }
    }
    run(20ms);
    EXPECT_EQ(b.numbers, one_to(number));
}

// -- Frames that no channel sends -------------------------------------------------------------------

class hostile_frames : public channels {
  protected:
    /// A batch with the next sequence number that holds what `fill` writes.
    bool batch(const std::function<void(byte_writer&)>& fill) {
        std::vector<std::byte> bytes;
        byte_writer out{bytes};
        out.u8(static_cast<std::uint8_t>(wire::frame_type::batch));
        out.varint(++sequence);
        out.varint(0);
        out.varint(0);
        fill(out);
        return a.give(now, shared_bytes::copy_of(bytes));
    }
    static void node(byte_writer& out, std::uint64_t index, const endpoint_id& named) {
        out.u8(static_cast<std::uint8_t>(wire::item_tag::node));
        out.varint(index);
        out.id(named);
    }
    static void tree(byte_writer& out, std::initializer_list<std::uint64_t> fields) {
        out.u8(static_cast<std::uint8_t>(wire::item_tag::tree));
        for (const auto field : fields) {
            out.varint(field);
        }
    }
    std::uint64_t sequence = 0;
};

TEST_F(hostile_frames, every_truncation_of_a_batch_is_refused_or_a_shorter_batch) {
    b.machine->push_control(now, wire::item_tag::topology, std::as_bytes(std::span{"abc", 3}));
    b.machine->push(now, section(1, to_a, "payload"));
    b.machine->flush(now, 0, b);
    const auto whole = b.sent.front();
    ASSERT_TRUE(is(whole, wire::frame_type::batch));
    std::size_t accepted = 0;
    for (std::size_t length = 0; length < whole.size(); ++length) {
        a.machine = std::make_unique<channel>(channel_options{id(1)}, now);
        accepted += a.give(now, shared_bytes::copy_of(whole.span().first(length))) ? 1 : 0;
    }
    // Where it ends between two items: behind the head, the record, two nodes and the tree.
    EXPECT_EQ(accepted, 5U);
    a.machine = std::make_unique<channel>(channel_options{id(1)}, now);
    EXPECT_TRUE(a.give(now, whole));
    EXPECT_EQ(a.numbers, one_to(1));
}

TEST_F(hostile_frames, unknown_types_and_tags_are_refused) {
    EXPECT_FALSE(a.give(now, shared_bytes{}));
    for (const std::uint8_t type : {0, 1, 2, 3, 4, 9, 255}) {
        const std::byte frame[1] = {static_cast<std::byte>(type)};
        EXPECT_FALSE(a.give(now, shared_bytes::copy_of(frame))) << unsigned{type};
    }
    for (const std::uint8_t tag : {0, 8, 255}) {
        EXPECT_FALSE(batch([&](byte_writer& out) { out.u8(tag); })) << unsigned{tag};
    }
}

TEST_F(hostile_frames, node_indexes_must_follow_each_other) {
    EXPECT_TRUE(batch([](auto& out) { node(out, 0, id(1)); }));
    EXPECT_TRUE(batch([](auto& out) { node(out, 0, id(2)); })) << "defined anew";
    EXPECT_TRUE(batch([](auto& out) { node(out, 1, id(3)); }));
    EXPECT_FALSE(batch([](auto& out) { node(out, 3, id(4)); }));
    EXPECT_FALSE(batch([](auto& out) { node(out, wire::nodes_per_link_max, id(4)); }));
    EXPECT_FALSE(batch([](auto& out) { node(out, ~std::uint64_t{0}, id(4)); }));
}

TEST_F(hostile_frames, trees_that_do_not_add_up_are_refused) {
    ASSERT_TRUE(batch([](auto& out) {
        node(out, 0, id(1));  // a itself
        node(out, 1, id(2));
    }));
    const auto refused = [&](std::initializer_list<std::uint64_t> fields) {
        return !batch([&](auto& out) { tree(out, fields); });
    };
    EXPECT_TRUE(refused({0, 1, 0}));                       // no node
    EXPECT_TRUE(refused({0, 2, 1, 1, 0}));                 // origin unknown
    EXPECT_TRUE(refused({0, 1, 1, 2 << 1, 0}));            // node unknown
    EXPECT_TRUE(refused({0, 1, 1, 1 << 1 | 1, 0}));        // does not start with the receiver
    EXPECT_TRUE(refused({1, 1, 1, 1, 0}));                 // slot 1 before slot 0
    EXPECT_TRUE(refused({wire::tree_slots_max, 1, 1, 1, 0}));
    EXPECT_TRUE(refused({0, 1, 2, 1, 0, 3, 0}));           // a node too many
    EXPECT_TRUE(refused({0, 1, 2, 1, 2, 3, 0}));           // a node too few
    EXPECT_TRUE(refused({0, 1, 2, 1, 1, 3, 1}));           // a node too few further down
    EXPECT_TRUE(refused({0, 1, 2, 1, ~std::uint64_t{0}, 3, 0}));
    EXPECT_TRUE(refused({0, 1, ~std::uint64_t{0}, 1, 0}));
    EXPECT_TRUE(refused({0, 1, wire::tree_nodes_max, 1, 0}));  // more than there are bytes
    EXPECT_TRUE(batch([](auto& out) { tree(out, {0, 1, 2, 1, 1, 3, 0}); }));
}

TEST_F(hostile_frames, a_section_needs_a_known_slot_and_one_distance_a_receiver) {
    ASSERT_TRUE(batch([](auto& out) {
        node(out, 0, id(1));
        node(out, 1, id(2));
        tree(out, {0, 1, 2, 1, 1, 3, 0});
    }));
    const auto give = [&](std::uint32_t slot, std::vector<std::uint64_t> distances,
                          std::uint8_t flags, std::size_t claimed) {
        return batch([&](auto& out) {
            wire::section_head head;
            head.slot = slot;
            head.flags = flags;
            head.number = 5;
            head.distances = std::move(distances);
            std::byte raw[128];
            out.bytes({raw, wire::put_section_head(raw, head, claimed)});
            out.u8('x');
        });
    };
    EXPECT_FALSE(give(1, {1, 1}, 0, 1)) << "slot not defined";
    EXPECT_FALSE(give(0, {1, 1}, 0, 2)) << "payload beyond the frame";
    EXPECT_FALSE(give(0, {1, 1}, 0, ~std::size_t{0}));
    EXPECT_TRUE(a.numbers.empty());
    EXPECT_TRUE(give(0, {1, 1}, 0, 1));
    EXPECT_TRUE(give(0, {1}, wire::section_uniform, 1));
    EXPECT_EQ(a.numbers.size(), 2U);
}

TEST_F(hostile_frames, acknowledging_what_was_never_sent_changes_nothing) {
    a.machine->push(now, section(1, to_b, "x"));
    a.machine->flush(now, 0, a);
    wire::ack_frame ack;
    ack.at = {1'000'000, 1'000'000};
    EXPECT_TRUE(a.give(now, shared_bytes::copy_of(wire::encode(ack))));
    EXPECT_TRUE(a.machine->drained());
    a.machine->push(now, section(2, to_b, "x"));
    a.machine->flush(now, 0, a);
    EXPECT_FALSE(a.machine->drained()) << "the next frame still waits for its own receipt";
}

TEST_F(hostile_frames, parts_that_belong_nowhere_or_are_too_many_are_refused) {
    const auto begin = [&](std::uint64_t total, std::size_t size, std::uint8_t flags = 0) {
        return batch([&](byte_writer& out) {
            node(out, 0, id(1));
            tree(out, {0, 0, 1, 1, 0});
            out.u8(static_cast<std::uint8_t>(wire::item_tag::section));
            out.u8(static_cast<std::uint8_t>(flags | wire::section_in_parts
                                             | wire::section_uniform));
            for (const std::uint64_t field : {0, 1, 0}) {  // Slot, number, distance.
                out.varint(field);
            }
            out.fixed(std::uint64_t{0});
            out.u8(0);
            out.fixed(std::uint16_t{0});
            out.varint(1);
            out.varint(total);
            out.varint(size);
            out.bytes(std::vector<std::byte>(size));
        });
    };
    const auto part = [&](std::uint8_t lane, std::size_t size) {
        return batch([&](byte_writer& out) {
            out.u8(static_cast<std::uint8_t>(wire::item_tag::part));
            out.u8(lane);
            out.varint(size);
            out.bytes(std::vector<std::byte>(size));
        });
    };
    const auto fresh = [&] {
        channel_options options;
        options.self = id(1);
        options.data_section_bytes_max = 1'000;
        options.control_section_bytes_max = 2'000;
        a.machine = std::make_unique<channel>(options, now);
        a.largest_block = 0;
        sequence = 0;
    };
    fresh();
    EXPECT_FALSE(part(0, 1)) << "of nothing";
    EXPECT_EQ(a.machine->fault(), "a part of no section");
    fresh();
    EXPECT_FALSE(begin(1'001, 1)) << "more than it takes";
    EXPECT_EQ(a.machine->fault(), "a section of more bytes than this endpoint takes");
    fresh();
    EXPECT_FALSE(begin(~std::uint64_t{0}, 1));
    fresh();
    EXPECT_FALSE(begin(10, 10)) << "whole";
    fresh();
    EXPECT_FALSE(begin(10, 0)) << "nothing of it";
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_FALSE(begin(1'000, 1)) << "one ahead of it is not whole";
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_EQ(a.machine->partial_bytes(), 1U);
    EXPECT_LE(a.largest_block, 4U) << "what is announced alone takes no memory";
    EXPECT_TRUE(begin(2'000, 1, 2)) << "of the other lane";
    EXPECT_FALSE(part(1, 0)) << "empty";
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_FALSE(part(1, 1)) << "of the other lane";
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_FALSE(part(2, 1)) << "of no lane";
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_TRUE(part(0, 900));
    EXPECT_TRUE(a.numbers.empty());
    EXPECT_FALSE(part(0, 100)) << "one too many";
    EXPECT_EQ(a.machine->fault(), "a section of more bytes than it announced");
    fresh();
    EXPECT_TRUE(begin(1'000, 1));
    EXPECT_TRUE(part(0, 999));
    EXPECT_EQ(a.numbers, one_to(1));
    EXPECT_LE(a.largest_block, 1'000U);
}

TEST_F(hostile_frames, an_old_or_early_batch_is_not_looked_at) {
    EXPECT_TRUE(batch([](auto&) {}));
    sequence = 0;
    EXPECT_TRUE(batch([](auto& out) { out.u8(255); })) << "a copy: its contents are old news";
    sequence = 10;
    EXPECT_TRUE(batch([](auto& out) { out.u8(255); })) << "early: it will be sent again";
}

}  // namespace
}  // namespace bzmq::session
