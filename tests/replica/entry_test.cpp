#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "base/prng.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {
namespace {

std::span<const std::byte> raw(std::string_view text) {
    return std::as_bytes(std::span{text.data(), text.size()});
}

const endpoint_id someone{endpoint_id::bytes_type{7, 7}};

std::vector<std::byte> sample() {
    std::vector<std::byte> bytes;
    put_head(bytes, {3, 1000, ec::none});
    put_change(bytes, {change_kind::open_writer, {}, {}, no_expiry, 3, someone});
    put_change(bytes, {change_kind::put, raw("k"), raw("v"), no_expiry, 0, {}});
    put_change(bytes, {change_kind::put_expiring, raw("k2"), raw("v2"),
                       timestamp{timespan{-5}}, 0, {}});
    put_change(bytes, {change_kind::erase, raw("k3"), {}, no_expiry, 0, {}});
    put_change(bytes, {change_kind::expire, raw("k4"), {}, no_expiry, 0, {}});
    put_change(bytes, {change_kind::clear, {}, {}, no_expiry, 0, {}});
    put_change(bytes, {change_kind::close_writer, {}, {}, no_expiry, 3, {}});
    return bytes;
}

TEST(entry, comes_back_as_it_was_written) {
    const auto bytes = sample();
    EXPECT_TRUE(well_formed(bytes));
    entry_reader in{bytes};
    EXPECT_EQ(in.head().writer, 3U);
    EXPECT_EQ(in.head().number, 1000U);
    EXPECT_EQ(in.head().result, ec::none);
    std::vector<change_kind> kinds;
    for (change each; in.next(each);) {
        kinds.push_back(each.kind);
        if (each.kind == change_kind::put_expiring) {
            EXPECT_EQ(each.expiry, timestamp{timespan{-5}});
            EXPECT_EQ(each.value.size(), 2U);
        }
        if (each.kind == change_kind::open_writer) {
            EXPECT_EQ(each.writer, 3U);
            EXPECT_EQ(each.id, someone);
        }
    }
    EXPECT_FALSE(in.failed());
    EXPECT_EQ(kinds.size(), 7U);
}

TEST(entry, cut_off_anywhere_is_never_taken_for_all_of_it) {
    const auto whole = sample();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::span<const std::byte> part{whole.data(), size};
        entry_reader in{part};
        std::size_t changes = 0;
        for (change each; in.next(each);) {
            ++changes;
        }
        EXPECT_TRUE(in.failed() || changes < 7U) << size;
    }
}

TEST(entry, noise_neither_crashes_nor_overruns) {
    prng random{1};
    for (int run = 0; run < 20'000; ++run) {
        std::vector<std::byte> noise(random.below(64));
        for (auto& each : noise) {
            each = static_cast<std::byte>(random.chance(1, 8) ? random.next() : random.below(8));
        }
        [[maybe_unused]] const auto verdict = well_formed(noise);
    }
}

TEST(entry, without_its_key_value_or_writer_is_not_well_formed) {
    std::vector<std::byte> bytes;
    put_head(bytes, {});
    EXPECT_TRUE(well_formed(bytes));
    auto no_key = bytes;
    put_change(no_key, {change_kind::erase, {}, {}, no_expiry, 0, {}});
    EXPECT_FALSE(well_formed(no_key));
    auto no_value = bytes;
    put_change(no_value, {change_kind::put, raw("k"), {}, no_expiry, 0, {}});
    EXPECT_FALSE(well_formed(no_value));
    auto nobody = bytes;
    put_change(nobody, {change_kind::open_writer, {}, {}, no_expiry, 4, {}});
    EXPECT_FALSE(well_formed(nobody));
}

// Part of the protocol: a change here breaks running systems and files.
TEST(entry, hashes_are_the_documented_ones) {
    EXPECT_EQ(stable_hash(raw("")), stable_hash(raw("")));
    EXPECT_NE(stable_hash(raw("a")), stable_hash(raw("b")));
    EXPECT_NE(chain(1, raw("a")), chain(2, raw("a")));
    EXPECT_NE(stable_hash(raw(std::string_view{"\0", 1})), stable_hash(raw("")));
    EXPECT_NE(stable_hash(raw(std::string_view{"12345678\0", 9})), stable_hash(raw("12345678")));
}

}  // namespace
}  // namespace bzmq::replica
