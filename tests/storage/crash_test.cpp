#include <gtest/gtest.h>

#include "storage/committer.hpp"
#include "support.hpp"
#include <sys/wait.h>

#include <csignal>
#include <optional>

namespace bzmq::storage {
namespace {

using namespace test;

/// Batches of one to four entries that follow from the position alone, so that parent and child
/// mean the same ones.
class script {
  public:
    replica::persist_batch next() {
        const auto first = what_.last() + 1;
        prng random{first};
        for (auto n = random.below(4) + 1; n > 0; --n) {
            const auto number = what_.last() + 1;
            // Twins, so that half an entry would show.
            const auto slot = std::to_string(random.below(200));
            const auto size = random.chance(1, 20) ? 20'000 : random.below(300);
            what_.put("left" + slot, std::string(size, 'v') + std::to_string(number));
            what_.put("right" + slot, number,
                      random.chance(1, 4) ? timestamp{std::chrono::nanoseconds{number}}
                                          : replica::no_expiry);
            if (random.chance(1, 10)) {
                what_.erase("left" + std::to_string(random.below(200)));
            }
            what_.entry();
        }
        return what_.batch();
    }
    /// False where no batch ends there.
    bool go_to(replica::sequence last) {
        while (what_.last() < last) {
            next();
        }
        return what_.last() == last;
    }
    [[nodiscard]] const model& what() const { return what_; }

  private:
    model what_;
};

/// The child: commits at full speed until it is killed, and tells what it was told.
[[noreturn]] void write_until_killed(const std::filesystem::path& folder, durability mode,
                                     script from, int to) {
    auto store = lmdb_store::open({.folder = folder, .mode = mode, .log_bytes_max = 200'000});
    if (!store) {
        ::_exit(1);
    }
    committer writer{
        **store, {.queue_bytes_max = 100'000}, [to](replica::sequence last, const error& problem) {
            if (problem || ::write(to, &last, sizeof last) != sizeof last) {
                ::_exit(2);
            }
        }};
    for (;;) {
        auto batch = from.next();
        while (!writer.submit(std::move(batch))) {
            ::sched_yield();
        }
    }
}

/// The newest acknowledgement, after the child was killed behind `acknowledgements` of them.
std::optional<replica::sequence> kill_behind(int from, pid_t child,
                                             std::uint64_t acknowledgements) {
    std::optional<replica::sequence> out;
    replica::sequence last = 0;
    for (std::uint64_t i = 0; ::read(from, &last, sizeof last) == sizeof last; ++i) {
        out = last;
        if (i == acknowledgements) {
            ::kill(child, SIGKILL);
        }
    }
    return out;
}

void kill_and_look(durability mode, int rounds) {
    const scratch_folder scratch;
    script known;
    prng random{5};
    for (int round = 0; round < rounds; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const auto child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::close(ends[0]);
            write_until_killed(scratch.store(), mode, known, ends[1]);
        }
        ::close(ends[1]);
        const auto acknowledged = kill_behind(ends[0], child, random.below(12));
        ::close(ends[0]);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << ": status " << status;
        ASSERT_TRUE(acknowledged);

        const auto store = lmdb_store::open({.folder = scratch.store(), .create = false});
        ASSERT_TRUE(store) << to_string(store.error());
        ASSERT_GE((*store)->last(), *acknowledged) << "lost in round " << round;
        ASSERT_TRUE(known.go_to((*store)->last())) << "half a batch in round " << round;
        error problem;
        ASSERT_EQ(values_in(**store, problem), known.what().values());
        ASSERT_EQ((*store)->chain(), known.what().chain());
        problem = (*store)->verify();
        ASSERT_FALSE(problem) << to_string(problem);
    }
    EXPECT_GT(known.what().last(), static_cast<replica::sequence>(rounds));
}

TEST(store_crash, loses_no_acknowledged_batch_and_keeps_no_half_one_when_the_process_is_killed) {
    kill_and_look(durability::group, 50);
}

TEST(store_crash, loses_nothing_to_a_killed_process_even_where_it_does_not_sync) {
    kill_and_look(durability::async, 20);
}

}  // namespace
}  // namespace bzmq::storage
