#include "overlay/id_index.hpp"

#include <gtest/gtest.h>

#include "base/prng.hpp"
#include "overlay/graphs.hpp"

#include <map>
#include <vector>

namespace bzmq::overlay {
namespace {

using testing::id;

TEST(id_index, finds_what_was_inserted_and_not_erased) {
    prng random{1};
    id_index index;
    std::vector<endpoint_id> ids(400);  // By number; nil where the number is free.
    std::map<endpoint_id, id_index::number> expected;
    const auto id_of = [&](id_index::number number) -> const endpoint_id& { return ids[number]; };
    // Through all fill levels, up and down, since erasing moves what comes behind.
    for (int step = 0; step < 20'000; ++step) {
        const auto number = static_cast<id_index::number>(random.below(ids.size()));
        const bool growing = step / 2'000 % 2 == 0;
        if (ids[number].is_nil() && (growing || random.chance(1, 4))) {
            const auto fresh = id(1 + static_cast<std::uint64_t>(step));
            index.insert(fresh, number, id_of);
            ids[number] = fresh;
            expected[fresh] = number;
        } else if (!ids[number].is_nil() && (!growing || random.chance(1, 4))) {
            index.erase(ids[number], id_of);
            expected.erase(ids[number]);
            ids[number] = {};
        }
        ASSERT_EQ(index.size(), expected.size());
        if (step % 50 == 0) {
            for (const auto& [each, where] : expected) {
                ASSERT_EQ(index.find(each, id_of), where);
            }
            ASSERT_FALSE(index.find(id(100'000), id_of));
        }
    }
}

TEST(id_index, erasing_a_stranger_changes_nothing) {
    id_index index;
    const std::vector<endpoint_id> ids{id(1)};
    const auto id_of = [&](id_index::number number) -> const endpoint_id& { return ids[number]; };
    index.erase(id(1), id_of);
    index.insert(ids[0], 0, id_of);
    index.erase(id(2), id_of);
    EXPECT_EQ(index.size(), 1U);
    EXPECT_EQ(index.find(id(1), id_of), 0U);
}

}  // namespace
}  // namespace bzmq::overlay
