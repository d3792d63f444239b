#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/prng.hpp"
#include "replica/table.hpp"

namespace bzmq::replica {
namespace {

using namespace std::chrono_literals;

std::span<const std::byte> raw(std::string_view text) {
    return std::as_bytes(std::span{text.data(), text.size()});
}
std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
item_ptr make(const std::string& key, const std::string& value, sequence revision,
              timestamp expiry = no_expiry) {
    return item_ptr::make(raw(key), raw(value), expiry, revision);
}

/// Goes through a table in parts as a snapshot does; `between` is called between two.
std::multiset<std::string> walk_all(const table& of, std::size_t bytes,
                                    const std::function<void()>& between = [] {}) {
    std::multiset<std::string> out;
    for (std::uint64_t from = 0;;) {
        std::vector<item_ptr> part;
        const auto position = of.walk(from, bytes, part);
        for (const auto& each : part) {
            EXPECT_GE(each->hash(), from);
            EXPECT_TRUE(position.at_end || each->hash() < position.next);
            out.insert(text(each->key()));
        }
        if (position.at_end) {
            return out;
        }
        EXPECT_GT(position.next, from);
        from = position.next;
        between();
    }
}

TEST(item, keeps_what_it_is_made_of_whatever_the_sizes) {
    for (const std::size_t key_size : {0U, 1U, 255U, 256U, 1U << 20}) {
        for (const std::size_t value_size : {0U, 1U, (1U << 22) - 1, 1U << 22}) {
            for (const auto expiry : {no_expiry, timestamp{5s}, timestamp{-5s}, timestamp{}}) {
                const std::string key(key_size, 'k');
                const std::string value(value_size, 'v');
                const auto made = item_ptr::make(raw(key), raw(value), expiry, sequence_max);
                EXPECT_TRUE(text(made->key()) == key && text(made->value()) == value)
                    << key_size << ' ' << value_size;
                EXPECT_EQ(made->expiry(), expiry);
                EXPECT_EQ(made->revision(), sequence_max);
                EXPECT_EQ(made->hash(), table::hash_of(raw(key)));
                EXPECT_GE(made->footprint(), key_size + value_size);
            }
        }
    }
}

TEST(table, counts_those_that_have_not_expired) {
    const auto put = [](table& to, const char* key, timestamp expiry) {
        to.put(item_ptr::make(raw(key), raw("v"), expiry, 1));
    };
    table ours;
    put(ours, "a", no_expiry);
    put(ours, "b", timestamp{5s});
    put(ours, "c", timestamp{9s});
    EXPECT_EQ(ours.live(timestamp{4s}), 3U);
    EXPECT_EQ(ours.live(timestamp{5s}), 2U);
    EXPECT_EQ(ours.live(timestamp{9s}), 1U);
    put(ours, "b", timestamp{20s});
    EXPECT_EQ(ours.live(timestamp{9s}), 2U);
    put(ours, "b", no_expiry);
    EXPECT_TRUE(ours.erase(raw("c"), table::hash_of(raw("c"))));
    EXPECT_EQ(ours.live(timestamp{99s}), 2U);
    put(ours, "c", timestamp{9s});
    table other;
    other.swap(ours);
    EXPECT_EQ(ours.live(timestamp{99s}), 0U);
    EXPECT_EQ(other.live(timestamp{99s}), 2U);
    other.clear();
    EXPECT_EQ(other.live(timestamp{99s}), 0U);
}

TEST(table, has_what_a_map_would_have) {
    prng random{1};
    table ours;
    std::map<std::string, std::string> map;
    for (sequence step = 1; step <= 200'000; ++step) {
        const auto key = "k" + std::to_string(random.below(20'000));
        const auto hash = table::hash_of(raw(key));
        switch (random.below(3)) {
            case 0:
                EXPECT_EQ(ours.erase(raw(key), hash), map.erase(key) == 1);
                break;
            default:
                map[key] = std::to_string(step);
                ours.put(make(key, map[key], step,
                              random.chance(1, 3) ? timestamp{5s} : no_expiry));
                EXPECT_NE(ours.find(hash, step), nullptr);
                EXPECT_EQ(ours.find(hash, step + 1), nullptr);
        }
    }
    EXPECT_EQ(ours.size(), map.size());
    std::size_t bytes = 0;
    std::size_t expiring = 0;
    ours.for_each([&](const item& each) {
        EXPECT_EQ(map.at(text(each.key())), text(each.value()));
        bytes += each.footprint();
        expiring += each.expires() ? 1 : 0;
    });
    EXPECT_EQ(ours.bytes(), bytes);
    EXPECT_EQ(ours.expiring(), expiring);
    for (const auto& [wall, live] : {std::pair{4s, map.size()}, {5s, map.size() - expiring}}) {
        EXPECT_EQ(ours.live(timestamp{wall}), live);
        std::size_t in_parts = 0;
        for (std::size_t part = 0; part < table::parts(); ++part) {
            in_parts += ours.live(timestamp{wall}, part);
        }
        EXPECT_EQ(in_parts, live);
    }
    for (std::uint64_t n = 0; n < 20'000; ++n) {
        const auto key = "k" + std::to_string(n);
        EXPECT_EQ(ours.find(raw(key)) != nullptr, map.contains(key));
    }
}

TEST(table, is_walked_once_in_parts_of_any_size) {
    table ours;
    for (std::uint64_t n = 0; n < 20'000; ++n) {
        ours.put(make(std::to_string(n), "v", n + 1));
    }
    for (const std::size_t bytes : {1U, 100U, 64U * 1024U, 1U << 30}) {
        const auto seen = walk_all(ours, bytes);
        EXPECT_EQ(seen.size(), ours.size());
        EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), ours.size());
    }
}

TEST(table, is_walked_from_any_hash) {
    table ours;
    for (std::uint64_t n = 0; n < 5'000; ++n) {
        ours.put(make(std::to_string(n), "v", n + 1));
    }
    prng random{2};
    for (int run = 0; run < 200; ++run) {
        const auto* some = ours.find(raw(std::to_string(random.below(5'000))));
        const auto from = run % 2 == 0 ? random.next() : some->hash();
        std::size_t expected = 0;
        ours.for_each([&](const item& each) { expected += each.hash() >= from ? 1 : 0; });
        std::vector<item_ptr> part;
        EXPECT_TRUE(ours.walk(from, std::size_t{1} << 30, part).at_end);
        EXPECT_EQ(part.size(), expected);
    }
}

TEST(table, shows_a_walk_all_that_stays_although_it_changes) {
    prng random{3};
    table ours;
    for (std::uint64_t n = 0; n < 10'000; ++n) {
        ours.put(make("stays" + std::to_string(n), "v", n + 1));
    }
    const auto seen = walk_all(ours, 2'000, [&] {
        for (int i = 0; i < 100; ++i) {
            const auto key = "comes" + std::to_string(random.below(20'000));
            if (!ours.erase(raw(key), table::hash_of(raw(key)))) {
                ours.put(make(key, "v", 1));
            }
        }
    });
    for (std::uint64_t n = 0; n < 10'000; ++n) {
        EXPECT_EQ(seen.count("stays" + std::to_string(n)), 1U);
    }
}

TEST(table, finds_its_items_where_there_are_more_than_the_tag_tells_apart) {
    // All in one of the partitions, as if there were some 15 million.
    table ours;
    std::vector<std::string> keys;
    for (std::uint64_t n = 0; keys.size() < 60'000; ++n) {
        auto key = std::to_string(n);
        if (table::hash_of(raw(key)) >> 56 == 7) {
            ours.put(make(key, key, n + 1));
            keys.push_back(std::move(key));
        }
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto* held = ours.find(raw(keys[i]));
        ASSERT_NE(held, nullptr);
        EXPECT_EQ(text(held->value()), keys[i]);
        if (i % 2 == 0) {
            EXPECT_TRUE(ours.erase(raw(keys[i]), table::hash_of(raw(keys[i]))));
        }
    }
    EXPECT_EQ(walk_all(ours, 10'000).size(), keys.size() / 2);
}

}  // namespace
}  // namespace bzmq::replica
