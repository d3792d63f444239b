#include <gtest/gtest.h>

#include "storage/crc32c.hpp"
#include "support.hpp"

#include <algorithm>
#include <chrono>

namespace bzmq::storage {
namespace {

using namespace std::chrono_literals;
using namespace test;

std::unique_ptr<lmdb_store> opened(store_options options) {
    auto store = lmdb_store::open(std::move(options));
    EXPECT_TRUE(store) << to_string(store.error());
    return store ? std::move(*store) : nullptr;
}

void expect_holds(const lmdb_store& store, const model& what) {
    error problem;
    EXPECT_EQ(values_in(store, problem), what.values());
    EXPECT_FALSE(problem) << to_string(problem);
    std::map<replica::writer_index, std::pair<endpoint_id, std::uint64_t>> writers;
    std::map<replica::writer_index, std::pair<endpoint_id, std::uint64_t>> wanted;
    problem = store.for_each_writer([&writers](const replica::stored_writer& each) {
        writers[each.index] = {each.id, each.number};
        return true;
    });
    EXPECT_FALSE(problem) << to_string(problem);
    for (const auto& [index, each] : what.writers()) {
        wanted[index] = {each.id, each.number};
    }
    EXPECT_EQ(writers, wanted);
    EXPECT_EQ(store.last(), what.last());
    EXPECT_EQ(store.chain(), what.chain());
    problem = store.verify();
    EXPECT_FALSE(problem) << to_string(problem);
}

endpoint_id id_of(std::uint8_t number) {
    endpoint_id::bytes_type raw{};
    raw.fill(number);
    return endpoint_id{raw};
}

/// Random entries over few keys, so that they are overwritten and erased often.
void add_random(model& to, prng& random, int entries) {
    for (int i = 0; i < entries; ++i) {
        for (auto n = random.below(3) + 1; n > 0; --n) {
            data key = "key" + std::to_string(random.below(40));
            if (random.chance(1, 10)) {
                key = std::string(600, 'k') + get<std::string>(key);
            }
            const auto expiry = random.chance(1, 3)
                                    ? timestamp{timespan{static_cast<std::int64_t>(random.next())}}
                                    : replica::no_expiry;
            if (random.chance(1, 5)) {
                to.erase(key);
            } else {
                to.put(key, std::string(random.below(9'000), 'v'), expiry);
            }
        }
        if (random.chance(1, 60)) {
            to.clear();
        }
        to.entry();
    }
}

TEST(crc32c, is_that_of_rfc_3720_with_and_without_the_instruction) {
    const bytes zeros(32, std::byte{0});
    const bytes ones(32, std::byte{0xff});
    EXPECT_EQ(crc32c(zeros), 0x8a9136aaU);
    EXPECT_EQ(crc32c_portable(zeros), 0x8a9136aaU);
    EXPECT_EQ(crc32c(ones), 0x62a8ab43U);
    for (std::size_t size = 0; size < 32; ++size) {
        const auto part = std::span{ones}.first(size);
        EXPECT_EQ(crc32c(part), crc32c_portable(part));
        EXPECT_EQ(crc32c(std::span{ones}.subspan(size), crc32c(part)), crc32c(ones));
    }
}

TEST(lmdb_store, is_empty_when_new_and_keeps_its_identity) {
    const scratch_folder scratch;
    endpoint_id id;
    {
        const auto store = opened({.folder = scratch.store()});
        id = store->identity().store;
        EXPECT_TRUE(id);
        EXPECT_EQ(store->identity().epoch(), 0U);
        EXPECT_EQ(store->last(), 0U);
        EXPECT_EQ(store->log_first(), 1U);
        expect_holds(*store, {});
    }
    const auto store = opened({.folder = scratch.store(), .create = false});
    EXPECT_EQ(store->identity().store, id);
    const scratch_folder other;
    EXPECT_NE(opened({.folder = other.store()})->identity().store, id);
}

TEST(lmdb_store, returns_after_reopening_what_was_committed) {
    const scratch_folder scratch;
    model wanted;
    prng random{1};
    for (int round = 0; round < 30; ++round) {
        const auto store = opened({.folder = scratch.store()});
        expect_holds(*store, wanted);
        add_random(wanted, random, 10);
        auto batch = wanted.batch();
        ASSERT_FALSE(store->commit(batch));
        expect_holds(*store, wanted);
    }
}

TEST(lmdb_store, commits_several_batches_in_one_transaction) {
    const scratch_folder scratch;
    model wanted;
    prng random{2};
    std::vector<replica::persist_batch> batches;
    for (int i = 0; i < 20; ++i) {
        add_random(wanted, random, 3);
        batches.push_back(wanted.batch());
    }
    {
        const auto store = opened({.folder = scratch.store()});
        ASSERT_FALSE(store->commit(batches));
    }
    expect_holds(*opened({.folder = scratch.store()}), wanted);
}

TEST(lmdb_store, keeps_the_order_of_keys) {
    const scratch_folder scratch;
    model wanted;
    for (int i = 99; i >= 0; --i) {
        wanted.put(static_cast<count>(i), i).put("s" + std::to_string(i), i).entry();
    }
    const auto store = opened({.folder = scratch.store()});
    ASSERT_FALSE(store->commit(wanted.batch()));
    std::vector<data> keys;
    ASSERT_FALSE(store->for_each_value([&keys](const replica::stored_value& each) {
        keys.push_back(*decode_ordered(each.key));
        return true;
    }));
    EXPECT_EQ(keys.size(), 200U);
    EXPECT_TRUE(std::ranges::is_sorted(keys));
}

TEST(lmdb_store, keeps_long_keys_apart_whatever_they_begin_with) {
    const scratch_folder scratch;
    model wanted;
    for (std::size_t size = 500; size < 520; ++size) {
        wanted.put(std::string(size, 'a'), size).entry();
        wanted.put(std::string(100'000, 'a') + std::to_string(size), size, timestamp{1h}).entry();
    }
    wanted.erase(std::string(510, 'a')).erase(std::string(100'000, 'a') + "501").entry();
    {
        const auto store = opened({.folder = scratch.store()});
        ASSERT_FALSE(store->commit(wanted.batch()));
    }
    expect_holds(*opened({.folder = scratch.store()}), wanted);
}

TEST(lmdb_store, holds_values_larger_than_the_map_it_began_with) {
    const scratch_folder scratch;
    model wanted;
    for (int i = 0; i < 4; ++i) {
        wanted.put(i, std::string(std::size_t{10} << 20, static_cast<char>('a' + i))).entry();
    }
    const auto store = opened({.folder = scratch.store()});
    ASSERT_FALSE(store->commit(wanted.batch()));
    expect_holds(*store, wanted);
}

TEST(lmdb_store, knows_writers_and_how_far_they_have_come) {
    const scratch_folder scratch;
    model wanted;
    wanted.open_writer(1, id_of(1)).entry();
    wanted.open_writer(2, id_of(2)).entry();
    wanted.put("a", 1).entry({.writer = 1, .number = 1});
    wanted.entry({.writer = 1, .number = 2, .result = ec::type_clash});
    wanted.put("b", 1).entry({.writer = 2, .number = 1});
    {
        const auto store = opened({.folder = scratch.store()});
        ASSERT_FALSE(store->commit(wanted.batch()));
        expect_holds(*store, wanted);
    }
    const auto store = opened({.folder = scratch.store()});
    ASSERT_FALSE(store->for_each_writer([](const replica::stored_writer& each) {
        EXPECT_EQ(each.result, each.index == 1 ? ec::type_clash : ec::none);
        return true;
    }));
    wanted.close_writer(1).entry();
    wanted.put("b", 2).entry({.writer = 2, .number = 2});
    ASSERT_FALSE(store->commit(wanted.batch()));
    expect_holds(*store, wanted);
    wanted.entry({.writer = 9, .number = 1});
    EXPECT_EQ(store->commit(wanted.batch()), ec::invalid_data);
}

TEST(lmdb_store, lists_expiries_in_the_order_of_time_and_forgets_those_that_were_replaced) {
    const scratch_folder scratch;
    model wanted;
    wanted.put("c", 1, timestamp{3s}).put("a", 1, timestamp{1s}).put("b", 1, timestamp{-2s});
    wanted.put("d", 1, timestamp{1s}).put("e", 1, timestamp{9s}).put("f", 1, timestamp{8s}).entry();
    wanted.put("e", 2).put("f", 2, timestamp{2s}).erase("c").entry();
    const auto store = opened({.folder = scratch.store()});
    ASSERT_FALSE(store->commit(wanted.batch()));
    std::vector<std::pair<timestamp, data>> found;
    ASSERT_FALSE(store->for_each_expiry([&](timestamp when, std::span<const std::byte> slot) {
        found.emplace_back(when, *decode_ordered(slot));
        return true;
    }));
    const std::vector<std::pair<timestamp, data>> expected{
        {timestamp{-2s}, "b"}, {timestamp{1s}, "a"}, {timestamp{1s}, "d"}, {timestamp{2s}, "f"}};
    EXPECT_EQ(found, expected);
    wanted.clear().entry();
    ASSERT_FALSE(store->commit(wanted.batch()));
    expect_holds(*store, wanted);
}

TEST(lmdb_store, reads_its_log_from_any_entry_that_it_still_has) {
    const scratch_folder scratch;
    model wanted;
    std::vector<replica::persist_batch> batches;
    for (int i = 0; i < 200; ++i) {
        wanted.put("k", std::string(1'000, 'v')).entry();
        batches.push_back(wanted.batch());
    }
    const auto store = opened({.folder = scratch.store(), .log_bytes_max = 50'000});
    for (const auto& batch : batches) {
        ASSERT_FALSE(store->commit(batch));
    }
    EXPECT_GT(store->log_first(), 140U);
    EXPECT_LT(store->log_first(), 160U);
    auto next = store->log_first();
    ASSERT_FALSE(store->read_log(next, [&](replica::sequence number, const log_record& record) {
        EXPECT_EQ(number, next);
        EXPECT_EQ(to_bytes(record.entry), to_bytes(batches[next - 1].entries.front().span()));
        EXPECT_EQ(record.chain, batches[next - 1].chain_after);
        ++next;
        return true;
    }));
    EXPECT_EQ(next, 201U);
    const auto none = [](replica::sequence, const log_record&) { return true; };
    EXPECT_FALSE(store->read_log(201, none));
    EXPECT_EQ(store->read_log(202, none), ec::stale_data);
    EXPECT_EQ(store->read_log(store->log_first() - 1, none), ec::stale_data);
}

TEST(lmdb_store, keeps_the_newest_entry_even_where_that_exceeds_the_log_by_itself) {
    const scratch_folder scratch;
    model wanted;
    const auto store = opened({.folder = scratch.store(), .log_bytes_max = 0});
    for (int i = 0; i < 3; ++i) {
        wanted.put("k", std::string(100'000, 'v')).entry();
        ASSERT_FALSE(store->commit(wanted.batch()));
        EXPECT_EQ(store->log_first(), store->last());
    }
    expect_holds(*store, wanted);
}

TEST(lmdb_store, refuses_a_batch_that_does_not_follow_and_changes_nothing) {
    const scratch_folder scratch;
    model wanted;
    wanted.put("a", 1).entry();
    const auto store = opened({.folder = scratch.store()});
    ASSERT_FALSE(store->commit(wanted.batch()));
    for (const int gap : {-1, 1}) {
        auto ahead = wanted;
        ahead.put("b", 1).entry();
        auto batch = ahead.batch();
        batch.first += static_cast<replica::sequence>(gap);
        EXPECT_EQ(store->commit(batch), ec::invalid_data);
    }
    auto other = wanted;
    other.put("b", 1).entry();
    auto wrong_chain = other.batch();
    ++wrong_chain.chain_after;
    EXPECT_EQ(store->commit(wrong_chain), ec::invalid_data);
    auto good = wanted;
    good.put("good", 1).entry().put("bad", 1).entry();
    auto half = good.batch();
    half.entries.back() = half.entries.back().slice(0, half.entries.back().size() - 1);
    EXPECT_EQ(store->commit(half), ec::invalid_data);
    expect_holds(*store, wanted);
}

TEST(lmdb_store, keeps_epochs_and_notes) {
    const scratch_folder scratch;
    {
        const auto store = opened({.folder = scratch.store(), .mode = durability::async});
        auto who = store->identity();
        who.epochs = {{1, 1}, {3, 1}, {4, 17}};
        ASSERT_FALSE(store->begin_epoch(who));
        ASSERT_FALSE(store->put_note("vote", key_of("for me")));
        ASSERT_FALSE(store->put_note("other", key_of("x")));
        ASSERT_FALSE(store->put_note("other", {}));
    }
    const auto store = opened({.folder = scratch.store()});
    EXPECT_EQ(store->identity().epoch(), 4U);
    EXPECT_EQ(store->identity().epochs[1], (replica::epoch_start{3, 1}));
    EXPECT_EQ(*store->note("vote"), key_of("for me"));
    EXPECT_TRUE(store->note("other")->empty());
}

class replacing : public testing::Test {
  protected:
    void SetUp() override {
        old_.put("old", 1).put("both", 1, timestamp{1h}).open_writer(5, id_of(5)).entry();
        store_ = opened({.folder = scratch_.store()});
        ASSERT_FALSE(store_->commit(old_.batch()));
        next_.jump(70, 4711);
        next_.put("both", 2, timestamp{2h}).put("new", 1);
        who_ = {.store = id_of(9), .epochs = {{7, 3}}};
    }
    void put_half() {
        ASSERT_FALSE(store_->replace_begin());
        for (const auto& [key, held] : next_.values()) {
            const replica::stored_value value{key, held.value, held.expiry, held.revision};
            ASSERT_FALSE(store_->replace_put({&value, 1}, {}));
        }
    }
    void finish() {
        const replica::stored_writer writer{.index = 6, .id = id_of(6), .number = 66};
        ASSERT_FALSE(store_->replace_put({}, {&writer, 1}));
        ASSERT_FALSE(store_->replace_finish(who_, 70, 4711));
    }
    void expect_next() {
        error problem;
        EXPECT_EQ(values_in(*store_, problem), next_.values());
        EXPECT_EQ(store_->identity().epoch(), 7U);
        EXPECT_EQ(store_->last(), 70U);
        EXPECT_EQ(store_->chain(), 4711U);
        EXPECT_EQ(store_->log_first(), 71U);
        EXPECT_FALSE(store_->verify());
    }
    void reopen() {
        store_.reset();
        store_ = opened({.folder = scratch_.store()});
    }

    scratch_folder scratch_;
    model old_;
    model next_;
    replica::identity who_;
    std::unique_ptr<lmdb_store> store_;
};

TEST_F(replacing, by_another_store_takes_the_notes_of_the_old_one_along) {
    ASSERT_FALSE(store_->put_note("other", key_of("x")));
    ASSERT_FALSE(store_->put_note("vote", key_of("for me")));
    put_half();
    EXPECT_EQ(*store_->note("vote"), key_of("for me")) << "until it is there as a whole";
    finish();
    EXPECT_TRUE(store_->note("vote")->empty());
    EXPECT_TRUE(store_->note("other")->empty());
    expect_next();
    // By a newer state of the same one it does not.
    ASSERT_FALSE(store_->put_note("vote", key_of("for you")));
    put_half();
    finish();
    EXPECT_EQ(*store_->note("vote"), key_of("for you"));
    store_.reset();
    store_ = opened({.folder = scratch_.store()});
    EXPECT_EQ(*store_->note("vote"), key_of("for you"));
}

TEST_F(replacing, takes_a_snapshot_in_place_of_everything) {
    put_half();
    finish();
    expect_next();
    reopen();
    expect_next();
}

TEST_F(replacing, takes_the_entries_behind_the_snapshot_with_it) {
    put_half();
    const replica::stored_writer writer{.index = 6, .id = id_of(6), .number = 66};
    ASSERT_FALSE(store_->replace_put({}, {&writer, 1}));
    model more;
    more.jump(70, 4711);
    more.put("later", 1).entry({.writer = 6, .number = 67});
    const auto whole = more.batch();
    auto torn = whole;
    torn.chain_after ^= 1U;
    EXPECT_EQ(store_->replace_finish(who_, 70, 4711, torn), ec::invalid_data);
    EXPECT_EQ(store_->last(), 1U);  // All of it, or nothing.
    ASSERT_FALSE(store_->replace_finish(who_, 70, 4711, whole));
    for (int run = 0; run < 2; ++run) {
        EXPECT_EQ(*store_->size(), 3U);
        EXPECT_EQ(store_->last(), 71U);
        EXPECT_EQ(store_->log_first(), 71U);
        EXPECT_FALSE(store_->verify());
        reopen();
    }
}

TEST_F(replacing, a_batch_brings_its_epochs) {
    old_.put("more", 1).entry();
    auto batch = old_.batch();
    batch.epochs = {{7, 1}, {9, 2}};
    const auto store = store_->identity().store;
    ASSERT_FALSE(store_->commit(batch));
    for (int run = 0; run < 2; ++run) {
        EXPECT_EQ(store_->identity().store, store);
        EXPECT_EQ(store_->identity().epochs, batch.epochs);
        reopen();
    }
}

TEST_F(replacing, goes_on_with_the_log_behind_the_snapshot) {
    put_half();
    finish();
    model more;
    more.jump(70, 4711);
    more.put("later", 1).entry({.writer = 6, .number = 67});
    ASSERT_FALSE(store_->commit(more.batch()));
    EXPECT_EQ(*store_->size(), 3U);
    EXPECT_EQ(store_->log_first(), 71U);
    reopen();
    EXPECT_EQ(*store_->size(), 3U);
    EXPECT_FALSE(store_->verify());
}

TEST_F(replacing, leaves_the_old_state_until_the_end) {
    put_half();
    expect_holds(*store_, old_);
    EXPECT_EQ(store_->commit(old_.put("x", 1).entry().batch()), ec::invalid_data);
}

TEST_F(replacing, leaves_the_old_state_when_it_stops_half_way) {
    put_half();
    reopen();
    expect_holds(*store_, old_);
    put_half();
    ASSERT_FALSE(store_->replace_abort());
    expect_holds(*store_, old_);
    put_half();
    finish();
    expect_next();
    put_half();  // And back into the first set of trees.
    finish();
    expect_next();
}

TEST(lmdb_store, shows_a_reader_in_another_handle_nothing_but_errors_in_this_process) {
    const scratch_folder scratch;
    const auto store = opened({.folder = scratch.store()});
    for (const bool read_only : {false, true}) {
        const auto second = lmdb_store::open({.folder = scratch.store(), .read_only = read_only});
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error(), ec::cannot_open_file);
        EXPECT_NE(second.error().message().find(std::to_string(::getpid())), std::string::npos);
    }
}

TEST(lmdb_store, reads_without_writing_anything) {
    const scratch_folder scratch;
    model wanted;
    prng random{3};
    add_random(wanted, random, 50);
    ASSERT_FALSE(opened({.folder = scratch.store()})->commit(wanted.batch()));
    const auto before = file_text(scratch.store() / "data.mdb");
    expect_holds(*opened({.folder = scratch.store(), .read_only = true}), wanted);
    EXPECT_EQ(file_text(scratch.store() / "data.mdb"), before);
    const auto none = lmdb_store::open({.folder = scratch.path() / "none", .read_only = true});
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message().find("is not there"), std::string::npos);
}

}  // namespace
}  // namespace bzmq::storage
