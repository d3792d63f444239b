#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "bzmq/data.hpp"
#include "bzmq/error.hpp"
#include "bzmq/time.hpp"
#include "replica/entry.hpp"
#include "replica/table.hpp"

/// What writers ask of a store, and what comes of it: a master evaluates each command against the
/// state as it then stands, and logs the effects.
namespace bzmq::replica {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

enum class operation : std::uint8_t {
    put = 1,              ///< key, value
    put_unique = 2,       ///< key, value: only where the key is not there
    compare_and_put = 3,  ///< key, revision, value: only where this entry wrote it; 0: not there
    add = 4,              ///< key, amount: numbers, times
    subtract = 5,         ///< key, amount
    append = 6,           ///< key, string
    insert = 7,           ///< key, element: sets
    insert_pair = 8,      ///< key, index, value: tables
    remove = 9,           ///< key, element or index: sets, tables, vectors
    push = 10,            ///< key, value: vectors
    pop = 11,             ///< key: vectors
    erase = 12,           ///< key
    clear = 13,
    batch = 14,           ///< commands: all or none
};

#pragma GCC diagnostic pop

/// One command, as views into its bytes.
struct command {
    operation what = operation::put;
    std::span<const std::byte> key;        ///< ordered form
    std::span<const std::byte> value;      ///< msgpack form; amount, element and so on likewise
    std::span<const std::byte> index;      ///< msgpack form; of `insert_pair`
    sequence revision = 0;                 ///< of `compare_and_put`
    std::optional<timespan> expiry = {};   ///< from when it is applied
    std::span<const std::byte> parts;      ///< of `batch`: sized commands
};

void put_command(std::vector<std::byte>& out, const command& what);
/// Nothing where `bytes` are not one command from the first to the last.
[[nodiscard]] std::optional<command> read_command(std::span<const std::byte> bytes) noexcept;
/// Also checks what `read_command` leaves open: that keys and values decode, that batches hold
/// commands and no batches. For what comes from others.
[[nodiscard]] bool valid_command(std::span<const std::byte> bytes);

/// What a command does to one key, or `clear` to all.
struct effect {
    change_kind kind = change_kind::put;
    item_ptr before;  ///< what stood there; null where nothing did
    item_ptr after;   ///< what a put wrote
};

/// The state against which commands are evaluated.
class state_view {
  public:
    virtual ~state_view() = default;
    /// Null where there is none. Holds until the state changes.
    [[nodiscard]] virtual const item* find(std::span<const std::byte> key,
                                           std::uint64_t hash) const = 0;
};

class table_view final : public state_view {
  public:
    explicit table_view(const table& of) noexcept : of_(of) {}
    [[nodiscard]] const item* find(std::span<const std::byte> key,
                                   std::uint64_t hash) const override {
        return of_.find(key, hash);
    }

  private:
    const table& of_;
};

/// Effects that are decided but not yet part of the state below.
class overlay_view final : public state_view {
  public:
    explicit overlay_view(const state_view& below) noexcept : below_(below) {}
    [[nodiscard]] const item* find(std::span<const std::byte> key,
                                   std::uint64_t hash) const override;
    void add(const effect& what, sequence at);
    /// The effects of entry `at` have reached the state below.
    void settle(const effect& what, sequence at);
    [[nodiscard]] bool empty() const noexcept { return pending_.empty() && cleared_at_ == 0; }
    void reset() {
        pending_.clear();
        cleared_at_ = 0;
    }

  private:
    struct pending {
        item_ptr value;  // null: erased
        sequence at = 0;
    };
    /// Lets the keys be asked for with views.
    struct key_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view key) const noexcept {
            return std::hash<std::string_view>{}(key);
        }
    };
    const state_view& below_;
    std::unordered_map<std::string, pending, key_hash, std::equal_to<>> pending_;
    sequence cleared_at_ = 0;
};

/// Appends the effects of a command that becomes entry `at`, and returns what its writer is told.
/// Without effects unless that is `ec::none`. Codes: type_clash, no_such_key, invalid_data (a number
/// out of range, a position that is not there), key_exists (put_unique), revision_mismatch
/// (compare_and_put), message_too_big.
ec evaluate(const command& what, const state_view& state, timestamp wall, sequence at,
            std::vector<effect>& out);

/// The change that stands for an effect in the log.
[[nodiscard]] change change_of(const effect& what) noexcept;
/// The effect that a change of entry `at` has, with what it replaces as `of` shows it (null: not
/// asked for). Nothing for changes of writers, and for those that change nothing.
[[nodiscard]] std::optional<effect> effect_of(const change& what, sequence at, const state_view* of);
/// Brings the effect into the state.
void apply(const effect& what, table& to);
/// The same, where the effect was made without what it replaces.
void apply(const change& from, const effect& what, table& to);

}  // namespace bzmq::replica
