#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "replica/command.hpp"
#include "sim/stores_book.hpp"
#include "sim/stores_world.hpp"

namespace bzmq::sim::stores {

/// A command's bytes; `value` is the operand, `index` that of `insert_pair`.
std::vector<std::byte> make_command(replica::operation what, const data& key, const data& value = {},
                                    const data& index = {}, std::optional<timespan> expiry = {},
                                    replica::sequence revision = 0);
std::vector<std::byte> make_batch(const std::vector<std::vector<std::byte>>& parts);
std::vector<std::byte> key_bytes(const data& key);

struct load_options {
    nanoseconds gap = std::chrono::milliseconds{20};  ///< between commands, on average
    unsigned bursts = 100;        ///< of 10,000 commands, those that begin a burst
    unsigned burst_commands = 100;
    unsigned at_masters = 3'000;  ///< of 10,000
    unsigned expiries = 2'000;    ///< of 10,000 puts
    unsigned keys = 30;
    unsigned tagged_keys = 16;
    std::size_t value_bytes = 40;
};

/// Writers that do everything that a store can.
class load {
  public:
    load(world& around, book& notes, std::uint64_t seed)
        : around_(around), book_(notes), random_(seed) {}

    void start(const load_options& options);
    void stop() { ++generation_; }
    /// One command at some machine of the store; tagged and counting ones only where `counted`.
    void write(slot_index at, const machine& what, bool counted);
    /// Nobody clears this store, so that its counters and tags can be judged.
    void set_counted(store_index store) { counted_.insert(store); }

  private:
    void write_again(std::uint64_t generation);
    void write_somewhere();
    std::vector<std::byte> any_command(const machine& what, bool counted);
    std::vector<std::byte> small_command(const machine& what);
    std::vector<std::byte> marked_command(write_note& note);
    data any_value();

    world& around_;
    book& book_;
    prng random_;
    load_options options_;
    std::uint64_t generation_ = 0;
    std::uint64_t last_value_ = 0;
    std::set<store_index> counted_;
};

}  // namespace bzmq::sim::stores
