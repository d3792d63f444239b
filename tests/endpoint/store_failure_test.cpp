// What goes wrong around stores: an end in order, everybody who waits is told, nobody else is held up.
#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <iterator>
#include <new>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "endpoint/clock.hpp"
#include "endpoint/core.hpp"
#include "endpoint/full_disk.hpp"
#include "endpoint/lmdb_disk.hpp"
#include "endpoint/random.hpp"
#include "endpoint/scratch.hpp"
#include "endpoint/store_disk.hpp"
#include "endpoint/store_room.hpp"
#include "endpoint/support.hpp"

namespace bzmq::testing {
namespace {

bool readable(int fd, int timeout_ms) {
    ::pollfd what{fd, POLLIN, 0};
    return ::poll(&what, 1, timeout_ms) == 1;
}
constexpr int patience_ms = 20'000;

TEST(store_failure, a_write_after_detach_is_refused_at_once) {
    auto ep = make("one");
    auto s = *ep.attach_master("s");
    ASSERT_TRUE(s.put("x", 1).wait());
    s.detach();
    EXPECT_EQ(s.put("x", 2).wait().error(), ec::no_such_master);
    EXPECT_EQ(s.get("x").error(), ec::no_such_master);
    EXPECT_FALSE(s.await_idle(timespan::max()));
}

TEST(store_failure, a_proxy_does_not_wait_for_a_clone_without_state) {
    auto first = make("first");
    auto second = make("second");
    clone_options how;
    how.get_delay = 1h;
    auto copy = *second.attach_clone("s", how);
    store::proxy waits{copy};
    const auto id = waits.get("x");
    EXPECT_FALSE(readable(waits.fd(), 0));
    auto master = *first.attach_master("s");
    ASSERT_TRUE(master.put("x", 7).wait());
    join(second, first);
    ASSERT_TRUE(readable(waits.fd(), patience_ms));
    const auto answer = waits.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->id, id);
    EXPECT_EQ(answer->answer, data{7});
}

TEST(store_failure, a_proxy_says_in_time_that_there_is_no_state) {
    auto ep = make("one");
    clone_options how;
    how.get_delay = 10ms;
    auto copy = *ep.attach_clone("s", how);
    store::proxy waits{copy};
    waits.keys();
    const auto answer = waits.receive(patience);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->answer.error(), ec::stale_data);
    how.get_delay = 1h;
    auto other = *ep.attach_clone("t", how);
    store::proxy ends{other};
    ends.exists("x");
    ep.shutdown();
    const auto last = ends.receive(patience);
    ASSERT_TRUE(last);
    EXPECT_EQ(last->answer.error(), ec::shutting_down);
}

TEST(store_failure, a_core_that_breaks_ends_its_stores) {
    const scratch folder;
    master_options durable;
    durable.path = folder.path + "/s";
    auto one = std::make_shared<endpoint_core>(named("a"));
    auto disk = one->attach_master(one, "s", backend::lmdb, durable);
    ASSERT_TRUE(disk) << to_string(disk.error());
    auto copy = one->attach_clone(one, "t", {});
    ASSERT_TRUE(copy);
    auto waits = std::async(std::launch::async, [&] { return (*copy)->await_state(timespan::max()); });
    EXPECT_EQ(one->ask([](const node::hub&) -> int { throw std::bad_alloc{}; }), 0);
    EXPECT_FALSE(waits.get());
    EXPECT_EQ((*disk)->prepare_read(), ec::unspecified);
    // Somebody else may have the disk at once.
    ASSERT_TRUE(eventually([&] { return one->is_shutdown(); }));
    auto other = make("b");
    auto again = other.attach_master("s", backend::lmdb, durable);
    EXPECT_TRUE(again) << to_string(again.error());
}

TEST(store_failure, one_name_attached_by_many_threads_is_one_store) {
    const scratch folder;
    master_options durable;
    durable.path = folder.path + "/s";
    auto ep = make("one");
    std::vector<std::future<expected<store>>> all;
    for (int i = 0; i < 8; ++i) {
        all.push_back(std::async(std::launch::async, [&] {
            return ep.attach_master("s", backend::lmdb, durable);
        }));
    }
    for (auto& each : all) {
        auto got = each.get();
        ASSERT_TRUE(got) << to_string(got.error());
        EXPECT_TRUE(got->increment("x").wait());
    }
    EXPECT_EQ(ep.attach_master("s", backend::lmdb, durable)->get("x"), data{count{8}});
}

TEST(store_failure, what_only_a_fenced_master_had_outlives_a_full_disk) {
    const scratch folder;
    master_options options;
    options.path = folder.path + "/s";
    replica::table values;
    auto opened = open_lmdb_disk(options, values, std::nullopt);
    ASSERT_TRUE(opened) << to_string(opened.error());
    std::mutex mutex;
    std::condition_variable came;
    std::vector<store_disk::outcome> outcomes;
    opened->disk->start([&](const store_disk::outcome& what) {
        const std::lock_guard lock{mutex};
        outcomes.push_back(what);
        came.notify_all();
    });
    auto next_outcome = [&, seen = std::size_t{0}]() mutable {
        std::unique_lock lock{mutex};
        EXPECT_TRUE(came.wait_for(lock, patience, [&] { return outcomes.size() > seen; }));
        return outcomes.at(seen++);
    };
    replica::table snapshot;
    const auto image = [&] {
        replica::snapshot_image out;
        out.who = {random_id(), {{5, 1}}};
        out.values = &snapshot;
        out.behind.first = 1;
        return out;
    };
    std::vector<std::byte> entry;
    replica::put_head(entry, {});
    replica::change put;
    put.kind = replica::change_kind::put;
    std::vector<std::byte> key;
    std::vector<std::byte> value;
    ASSERT_TRUE(encode_ordered(data{"lonely"}, key) && encode(data{"kept"}, value));
    put.key = key;
    put.value = value;
    replica::put_change(entry, put);
    const auto path = options.path + "/orphaned-7-7.jsonl";
    const auto only_here = [&] {
        return replica::orphan_set{
            7, 7, {shared_bytes::copy_of(std::span<const std::byte>{entry})}, {}};
    };
    {
        const full_disk full;
        opened->disk->keep_orphans(only_here());
        const auto told = next_outcome();
        EXPECT_EQ(told.what, store_disk::outcome::kind::orphans);
        EXPECT_EQ(told.problem, ec::backend_failure);
        EXPECT_NE(told.report.find("are not kept yet"), std::string::npos) << told.report;
        opened->disk->persist_snapshot(image());
        const auto problem = next_outcome().problem;
        EXPECT_EQ(problem, ec::backend_failure);
        EXPECT_NE(problem.message().find("orphaned-7-7"), std::string::npos) << problem.message();
        opened->disk->snapshot_settled(problem);
        EXPECT_FALSE(std::filesystem::exists(path));
    }
    opened->disk->persist_snapshot(image());
    const auto told = next_outcome();
    EXPECT_EQ(told.what, store_disk::outcome::kind::orphans);
    EXPECT_FALSE(told.problem);
    EXPECT_NE(told.report.find(path), std::string::npos) << told.report;
    const auto problem = next_outcome().problem;
    EXPECT_FALSE(problem) << to_string(problem);
    opened->disk->snapshot_settled(problem);
    std::ifstream in{path};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_NE(text.find("lonely"), std::string::npos) << text;
    EXPECT_NE(text.find("kept"), std::string::npos) << text;
    opened->disk->close();
}

TEST(store_failure, values_whose_entries_are_gone_stand_ahead_of_the_entries_in_the_file) {
    const scratch folder;
    master_options options;
    options.path = folder.path + "/s";
    replica::table values;
    auto opened = open_lmdb_disk(options, values, std::nullopt);
    ASSERT_TRUE(opened) << to_string(opened.error());
    std::promise<store_disk::outcome> told;
    opened->disk->start([&](const store_disk::outcome& what) { told.set_value(what); });
    const auto bytes_of = [](const data& key, const data& value) {
        std::pair<std::vector<std::byte>, std::vector<std::byte>> out;
        EXPECT_TRUE(encode_ordered(key, out.first) && encode(value, out.second));
        return out;
    };
    replica::orphan_set only_here{5, 9, {}, {}};
    for (const int revision : {7, 6}) {
        const auto [key, value] = bytes_of("k" + std::to_string(revision), revision);
        only_here.values.push_back(replica::item_ptr::make(
            key, value, revision == 6 ? timestamp{5s} : replica::no_expiry,
            static_cast<replica::sequence>(revision)));
    }
    std::vector<std::byte> entry;
    replica::put_head(entry, {});
    replica::change erase;
    erase.kind = replica::change_kind::erase;
    const auto [key, value] = bytes_of("k7", {});
    erase.key = key;
    replica::put_change(entry, erase);
    only_here.entries.push_back(shared_bytes::copy_of(std::span<const std::byte>{entry}));
    opened->disk->keep_orphans(std::move(only_here));
    auto future = told.get_future();
    ASSERT_EQ(future.wait_for(patience), std::future_status::ready);
    EXPECT_NE(future.get().report.find("of the first 4"), std::string::npos);
    opened->disk->close();
    std::ifstream in{options.path + "/orphaned-5-9.jsonl"};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    const auto k6 = to_json(data{"k6"});
    const auto k7 = to_json(data{"k7"});
    EXPECT_EQ(text, R"({"revision":6,"change":"put","key":)" + k6 + ",\"value\":" + to_json(data{6})
                        + R"(,"expiry":")" + to_string(data{timestamp{5s}}) + "\"}\n"
                        + R"({"revision":7,"change":"put","key":)" + k7 + ",\"value\":"
                        + to_json(data{7}) + "}\n" + R"({"revision":9,"change":"erase","key":)" + k7
                        + "}\n");
}

/// A room of its own, with disks that do nothing by themselves.
struct room : ::testing::Test, node::hub_output {
    struct still_disk final : store_disk {
        explicit still_disk(std::atomic<int>& open) : open_(open) { ++open_; }
        ~still_disk() override { --open_; }
        void start(done_fn) override {}
        void persist(replica::persist_batch batch) override {
            handed += batch.entries.size();
        }
        verdict settled(replica::sequence last, const error& problem) override {
            return {true, last, problem};
        }
        void persist_snapshot(replica::snapshot_image) override {}
        void snapshot_settled(const error&) override {}
        void persist_vote(replica::vote_record) override {}
        void keep_orphans(replica::orphan_set) override {}
        bool idle() const override { return true; }
        void close() override {}
        std::atomic<int>& open_;
        std::size_t handed = 0;
    };

    room() { rooms.turn(now); }
    ~room() override { rooms.shutdown(gone); }

    std::shared_ptr<store_state> attach(const std::string& name, bool durable) {
        auto state = std::make_shared<store_state>(core, ++last, name, true, backend::memory, 0s);
        replica::master_options how;
        how.name = name;
        how.durable = durable;
        how.unsettled_bytes = 1000;
        opened_disk from;
        from.from.who.store = core->self();
        from.from.who.epochs = {{1, 1}};
        if (durable) {
            from.disk = std::make_unique<still_disk>(open);
        }
        problem = rooms.attach_master(now, state, how, std::move(from), {});
        return state;
    }
    /// As `store::put`, but for this room's stores.
    write_state* put(store_state& to) {
        std::vector<std::byte> command;
        const std::vector<std::byte> bytes(100, std::byte{1});
        replica::put_command(command, {replica::operation::put, bytes, bytes, {}, 0, {}, {}});
        auto* write = new write_state{to.next_gate()};
        std::uint64_t number = 0;
        bool first = false;
        EXPECT_FALSE(to.queue().push(command, write, false, number, first));
        if (first) {
            rooms.commands_came(to.id());
        }
        writes.emplace_back(write, [](write_state* each) { each->drop_ref(); });
        return write;
    }

    void send(node::link_id, shared_bytes) override {}
    void close(node::link_id) override {}
    void connect(node::target_id) override {}
    void deliver(std::span<const node::subscriber_id>, const batch_ptr&,
                 std::vector<node::subscriber_id>&) override {}
    void notify(status_variant) override {}
    block_ptr allocate(std::size_t capacity) override { return block_ptr{new_heap_block(capacity)}; }
    void pong(node::request_id, std::chrono::nanoseconds, std::vector<endpoint_id>) override {}
    void filter_confirmed(node::request_id) override {}

    const error gone{ec::shutting_down};
    std::shared_ptr<endpoint_core> core = std::make_shared<endpoint_core>(named("a"));
    instant now = monotonic_now();
    node::hub hub{[this] {
                      node::hub_options how;
                      how.self = core->self();
                      return how;
                  }(),
                  *this};
    store_room rooms{core->self(), hub, {[] {}, [](error) {}}};
    std::uint32_t last = 0;
    std::atomic<int> open{0};
    error problem;
    std::vector<std::shared_ptr<write_state>> writes;
};

TEST_F(room, a_slow_disk_holds_up_nobody_else) {
    auto slow = attach("slow", true);
    auto quick = attach("quick", false);
    ASSERT_FALSE(problem) << to_string(problem);
    for (int i = 0; i < 100; ++i) {
        put(*slow);
    }
    rooms.turn(now);
    EXPECT_FALSE(writes.back()->done());
    auto* write = put(*quick);
    rooms.turn(now);
    EXPECT_TRUE(write->done());
    EXPECT_EQ(write->problem(), ec::none);
    EXPECT_FALSE(rooms.drained());
    rooms.detach(slow->id(), {ec::no_such_master});
    for (const auto& each : writes) {
        EXPECT_TRUE(each->done());
    }
    EXPECT_TRUE(rooms.drained());
    EXPECT_EQ(open, 0);
}

TEST_F(room, takes_no_store_after_its_end) {
    rooms.shutdown(gone);
    attach("late", false);
    EXPECT_EQ(problem, ec::shutting_down);
    EXPECT_TRUE(rooms.drained());
}

TEST_F(room, readers_do_not_wait_for_what_was_rolled_back) {
    auto state = attach("s", false);
    std::vector<std::byte> command(10);
    auto write = std::shared_ptr<write_state>{new write_state{state->next_gate()}, [](auto* each) { each->drop_ref(); }};
    ASSERT_FALSE(state->submit(command, write.get()));  // To the core, which does not know the store.
    state->settle_later(1, 100);
    state->settle_later(2, 91);
    state->committed(91);
    EXPECT_FALSE(state->prepare_read());
    // What the queue still has is nobody's.
    state->end(gone);
    command_queue::commands left;
    state->queue().take(left);
    for (const auto& each : left.heads) {
        each.state->drop_ref();
    }
}

}  // namespace
}  // namespace bzmq::testing
