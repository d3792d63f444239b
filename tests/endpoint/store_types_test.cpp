// Values of every type under keys of every type, and writes that do not fit a type, through the public
// API: at masters in memory and on disk, and through a clone.
#include <functional>
#include <thread>

#include "endpoint/scratch.hpp"
#include "endpoint/support.hpp"
#include "replica/type_rules.hpp"

namespace bzmq::testing {
namespace {

using replica::operation;

/// Nothing where the API has no call for such an operand.
std::optional<store_write> write(store& to, operation what, const data& key, const data& operand) {
    switch (what) {
        case operation::add:
            return to.increment(key, operand);
        case operation::subtract:
            return to.decrement(key, operand);
        case operation::append: {
            const auto* text = get_if<std::string>(&operand);
            return text == nullptr ? std::nullopt : std::optional{to.append(key, *text)};
        }
        case operation::insert:
            return to.insert_into(key, operand);
        case operation::insert_pair:
            return to.insert_into(key, operand, operand);
        case operation::remove:
            return to.remove_from(key, operand);
        case operation::push:
            return to.push(key, operand);
        case operation::pop:
            return to.pop(key);
        default:
            return std::nullopt;
    }
}

void add(store_batch& to, operation what, const data& key, const data& operand) {
    switch (what) {
        case operation::add:
            to.increment(key, operand);
            break;
        case operation::subtract:
            to.decrement(key, operand);
            break;
        case operation::append:
            to.append(key, get<std::string>(operand));
            break;
        case operation::insert:
            to.insert_into(key, operand);
            break;
        case operation::insert_pair:
            to.insert_into(key, operand, operand);
            break;
        case operation::remove:
            to.remove_from(key, operand);
            break;
        case operation::push:
            to.push(key, operand);
            break;
        default:
            to.pop(key);
    }
}

/// Writes through `at`, and looks at all of `copies` whether they have the same.
void all_types_are_keys_and_values(store at, const std::vector<store>& copies) {
    for (const auto& value : one_of_each_type()) {
        std::vector<store_write> writes;
        for (const auto& key : one_of_each_type()) {
            writes.push_back(at.put(key, value));
        }
        for (const auto& each : writes) {
            const auto outcome = each.wait(patience);
            ASSERT_TRUE(outcome) << to_string(outcome.error());
        }
        for (const auto& copy : copies) {
            for (const auto& key : one_of_each_type()) {
                EXPECT_EQ(copy.get(key), value) << to_string(key);
            }
            EXPECT_EQ(copy.size(), one_of_each_type().size());
        }
    }
}

void what_does_not_fit_is_refused(store at, const std::vector<store>& copies) {
    struct attempt {
        data key;
        store_write put;
        std::string what;
        std::vector<store_write> refused = {};
    };
    std::vector<attempt> attempts;
    for (const auto& value : one_of_each_type()) {
        for (const auto what : shaping) {
            for (const auto& operand : one_of_each_type()) {
                if (fits(what, value.get_type(), operand.get_type())) {
                    continue;
                }
                const data key{"case " + std::to_string(attempts.size())};
                attempt next{key, at.put(key, value), describe(what, value, operand)};
                if (auto single = write(at, what, key, operand)) {
                    next.refused.push_back(*std::move(single));
                    store_batch batch;
                    batch.put("trace of a batch", operand);
                    add(batch, what, key, operand);
                    next.refused.push_back(at.apply(batch));
                    attempts.push_back(std::move(next));
                }
            }
        }
    }
    EXPECT_GT(attempts.size(), 1'000U);
    for (const auto& each : attempts) {
        const auto put = each.put.wait(patience);
        ASSERT_TRUE(put) << to_string(put.error());
        for (const auto& refused : each.refused) {
            const auto outcome = refused.wait(patience);
            ASSERT_FALSE(outcome) << each.what;
            EXPECT_EQ(outcome.error(), ec::type_clash) << each.what;
        }
        for (const auto& copy : copies) {
            const auto entry = copy.get_entry(each.key);
            ASSERT_TRUE(entry) << each.what;
            EXPECT_EQ(entry->value, put->value) << each.what;
            EXPECT_EQ(entry->revision, put->revision) << each.what;
        }
    }
    for (const auto& copy : copies) {
        EXPECT_EQ(copy.exists("trace of a batch"), data{false});
    }
}

TEST(store_types, all_are_keys_and_values_at_a_master_in_memory) {
    auto ep = make("one");
    auto master = *ep.attach_master("s");
    all_types_are_keys_and_values(master, {master});
}

TEST(store_types, what_does_not_fit_is_refused_at_a_master_in_memory) {
    auto ep = make("one");
    auto master = *ep.attach_master("s");
    what_does_not_fit_is_refused(master, {master});
}

/// A master on disk, and its clone.
struct on_disk {
    endpoint first = make("first");
    endpoint second = make("second");
    scratch folder;
    store master;
    store clone;
    on_disk() {
        join(second, first);
        master_options options;
        options.path = folder.path + "/s";
        auto attached = first.attach_master("s", backend::lmdb, options);
        EXPECT_TRUE(attached) << to_string(attached.error());
        master = *attached;
        clone = *second.attach_clone("s");
        EXPECT_TRUE(clone.await_sync(patience));
    }
};

TEST(store_types, all_are_keys_and_values_at_a_master_on_disk_and_its_clone) {
    on_disk both;
    all_types_are_keys_and_values(both.clone, {both.clone, both.master});
}

TEST(store_types, what_does_not_fit_is_refused_at_a_clone_and_its_master_on_disk) {
    on_disk both;
    what_does_not_fit_is_refused(both.clone, {both.clone, both.master});
}

TEST(store_types, all_keys_and_values_are_there_after_a_restart_of_a_master_on_disk) {
    const scratch folder;
    master_options options;
    options.path = folder.path + "/s";
    {
        auto ep = make("one");
        auto master = *ep.attach_master("s", backend::lmdb, options);
        for (const auto& key : one_of_each_type()) {
            master.put(key, vector{key});
        }
        ASSERT_TRUE(master.put("last", nil).wait(patience));
    }
    auto ep = make("one");
    auto master = *ep.attach_master("s", backend::lmdb, options);
    for (const auto& key : one_of_each_type()) {
        EXPECT_EQ(master.get(key), (data{vector{key}})) << to_string(key);
    }
}

}  // namespace
}  // namespace bzmq::testing
