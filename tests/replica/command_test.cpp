// What commands do to values of every type, and what they refuse.
#include <gtest/gtest.h>

#include <limits>
#include <tuple>

#include "base/bytes.hpp"
#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "replica/command.hpp"
#include "replica/type_rules.hpp"

namespace bzmq::replica {
namespace {

using testing::describe;
using testing::fits;
using testing::on_nothing;
using testing::one_of_each_type;
using testing::shaping;

constexpr timestamp now{timespan{1'000}};

std::vector<std::byte> ordered(const data& key) {
    std::vector<std::byte> out;
    EXPECT_TRUE(encode_ordered(key, out));
    return out;
}
std::vector<std::byte> packed(const data& value) {
    std::vector<std::byte> out;
    EXPECT_TRUE(encode(value, out));
    return out;
}
std::vector<std::byte> command_of(operation what, const data& key, const data& operand) {
    std::vector<std::byte> out;
    const auto name = ordered(key);
    const auto value = packed(operand);
    put_command(out, {what, name, value, value, 0, {}, {}});
    return out;
}
std::vector<std::byte> batch_of(const std::vector<std::vector<std::byte>>& parts) {
    std::vector<std::byte> all;
    byte_writer to{all};
    for (const auto& each : parts) {
        to.varint(each.size());
        to.bytes(each);
    }
    std::vector<std::byte> out;
    put_command(out, {operation::batch, {}, {}, {}, 0, {}, all});
    return out;
}

/// A state, and what a command makes of it.
struct state {
    table values;
    std::vector<effect> effects;
    sequence last = 0;

    ec run(const std::vector<std::byte>& bytes) {
        EXPECT_TRUE(valid_command(bytes));
        effects.clear();
        const auto what = read_command(bytes);
        EXPECT_TRUE(what);
        return evaluate(*what, table_view{values}, now, ++last, effects);
    }
    void settle() {
        for (const auto& each : effects) {
            apply(each, values);
        }
    }
    std::optional<data> at(const data& key) const {
        const auto* held = values.find(ordered(key));
        return held == nullptr ? std::nullopt : std::optional{*decode(held->value())};
    }
};

TEST(command, every_type_is_a_key_and_a_value) {
    state all;
    for (const auto& key : one_of_each_type()) {
        for (const auto& value : one_of_each_type()) {
            ASSERT_EQ(all.run(command_of(operation::put, key, value)), ec::none);
            all.settle();
            EXPECT_EQ(all.at(key), value) << to_string(key);
            ASSERT_EQ(all.effects.size(), 1U);
            EXPECT_EQ(*decode_ordered(all.effects.front().after->key()), key);
        }
    }
    EXPECT_EQ(all.values.size(), one_of_each_type().size());
}

TEST(command, an_operation_that_does_not_fit_the_type_is_refused_and_has_no_effect) {
    std::size_t refused = 0;
    for (const auto& value : one_of_each_type()) {
        state one;
        ASSERT_EQ(one.run(command_of(operation::put, "k", value)), ec::none);
        one.settle();
        for (const auto what : shaping) {
            for (const auto& operand : one_of_each_type()) {
                const bool may = fits(what, value.get_type(), operand.get_type());
                refused += may ? 0 : 1;
                EXPECT_EQ(one.run(command_of(what, "k", operand)), may ? ec::none : ec::type_clash)
                    << describe(what, value, operand);
                EXPECT_TRUE(may || one.effects.empty()) << describe(what, value, operand);
            }
        }
        EXPECT_EQ(one.at("k"), value);
    }
    EXPECT_GT(refused, 1'000U);
}

TEST(command, a_batch_with_one_that_does_not_fit_has_no_effect_at_all) {
    for (const auto& value : one_of_each_type()) {
        state one;
        ASSERT_EQ(one.run(command_of(operation::put, "k", value)), ec::none);
        one.settle();
        for (const auto what : shaping) {
            for (const auto& operand : one_of_each_type()) {
                const bool may = fits(what, value.get_type(), operand.get_type());
                const auto before = command_of(operation::put, "other", operand);
                const auto it = command_of(what, "k", operand);
                EXPECT_EQ(one.run(batch_of({before, it})), may ? ec::none : ec::type_clash)
                    << describe(what, value, operand);
                EXPECT_TRUE(may || one.effects.empty()) << describe(what, value, operand);
                // The value that the batch itself has put counts as well.
                EXPECT_EQ(one.run(batch_of({command_of(operation::put, "new", value),
                                            command_of(what, "new", operand), before})),
                          may ? ec::none : ec::type_clash)
                    << describe(what, value, operand);
                EXPECT_TRUE(may || one.effects.empty()) << describe(what, value, operand);
            }
        }
    }
}

TEST(command, a_sum_that_is_out_of_range_is_refused_and_of_reals_infinite) {
    state one;
    for (const auto& [value, amount, expected_code] :
         {std::tuple{data{~count{0}}, data{count{1}}, ec::invalid_data},
          std::tuple{data{timespan::max()}, data{timespan{1}}, ec::invalid_data},
          std::tuple{data{1.7e308}, data{1.7e308}, ec::none}}) {
        ASSERT_EQ(one.run(command_of(operation::put, "k", value)), ec::none);
        one.settle();
        EXPECT_EQ(one.run(command_of(operation::add, "k", amount)), expected_code);
        one.settle();
    }
    EXPECT_EQ(one.at("k"), data{std::numeric_limits<real>::infinity()});
}

TEST(command, what_cannot_begin_with_nothing_is_refused_and_has_no_effect) {
    state none_there;
    for (const auto what : shaping) {
        for (const auto& operand : one_of_each_type()) {
            const auto expected_code = on_nothing(what, operand.get_type());
            EXPECT_EQ(none_there.run(command_of(what, "k", operand)), expected_code)
                << describe(what, nil, operand);
            EXPECT_EQ(none_there.effects.size(), expected_code == ec::none ? 1U : 0U)
                << describe(what, nil, operand);
        }
    }
}

TEST(command, puts_erases_and_clears_fit_every_type) {
    for (const auto& value : one_of_each_type()) {
        state one;
        ASSERT_EQ(one.run(command_of(operation::put, "k", value)), ec::none);
        one.settle();
        for (const auto& next : one_of_each_type()) {
            EXPECT_EQ(one.run(command_of(operation::put, "k", next)), ec::none);
            EXPECT_EQ(one.run(command_of(operation::put_unique, "k", next)), ec::key_exists);
            EXPECT_EQ(one.run(command_of(operation::compare_and_put, "k", next)),
                      ec::revision_mismatch);
            EXPECT_TRUE(one.effects.empty());
        }
        EXPECT_EQ(one.run(command_of(operation::erase, "k", nil)), ec::none);
        one.settle();
        EXPECT_EQ(one.at("k"), std::nullopt);
        EXPECT_EQ(one.run(command_of(operation::clear, nil, nil)), ec::none);
    }
}

}  // namespace
}  // namespace bzmq::replica
