#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/time.hpp"
#include "replica/limits.hpp"

/// The log of a store: what a master decided, in order. Entry n is the n-th decision since the
/// store was made; applying all of them in order gives the store's state. Keys are bytes of
/// data/ordered_codec.hpp, values bytes of data/msgpack_codec.hpp. docs/protocol.md and
/// docs/stores.md specify the bytes; they are the same on the wire and on disk.
namespace bzmq::replica {

/// Position in a store's log, from 1 on; 0: before the first entry.
using sequence = std::uint64_t;
/// Names one writer in one run: 16 random bytes.
using writer_id = endpoint_id;
/// A short name that the log gives to a writer. 0 is the master's own program.
using writer_index = std::uint32_t;
constexpr writer_index own_writer = 0;

/// When an entry of a store goes; the clock's zero: never.
constexpr timestamp no_expiry{};

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

enum class change_kind : std::uint8_t {
    put = 1,           ///< key, value
    put_expiring = 2,  ///< key, value, expiry
    erase = 3,         ///< key
    expire = 4,        ///< key, whose time was over
    clear = 5,         ///< everything
    open_writer = 6,   ///< index, id: a writer's commands may follow
    close_writer = 7,  ///< index: none of its commands will follow
};

#pragma GCC diagnostic pop

/// One effect of an entry. Views into the entry's bytes.
struct change {
    change_kind kind = change_kind::put;
    std::span<const std::byte> key;
    std::span<const std::byte> value;
    timestamp expiry = no_expiry;
    writer_index writer = own_writer;
    writer_id id;
};

/// Ahead of an entry's changes.
struct entry_head {
    writer_index writer = own_writer;
    /// The writer's count of its commands, from 1. For `own_writer` 0; or the epoch that begins with
    /// this entry, which has no changes then.
    std::uint64_t number = 0;
    ec result = ec::none;      ///< what the writer is told; without changes unless `none`
};

/// Reads the entry in `bytes`: first its head, then one change after the other.
class entry_reader {
  public:
    explicit entry_reader(std::span<const std::byte> bytes) noexcept;

    [[nodiscard]] const entry_head& head() const noexcept { return head_; }
    /// False at the end, and where the bytes are malformed; `failed` tells which.
    bool next(change& out) noexcept;
    [[nodiscard]] bool failed() const noexcept { return in_.failed(); }

  private:
    byte_reader in_;
    entry_head head_;
};

/// Is this an entry from the first byte to the last, its keys and values within limits.hpp? Whether
/// keys and values themselves decode is not asked.
[[nodiscard]] bool well_formed(std::span<const std::byte> entry) noexcept;

void put_head(std::vector<std::byte>& out, const entry_head& head);
void put_change(std::vector<std::byte>& out, const change& what);

/// A hash over the log up to and with an entry, from that up to the one before it. Equal on all
/// copies of a store at the same sequence number; not cryptographic.
[[nodiscard]] std::uint64_t chain(std::uint64_t before, std::span<const std::byte> entry) noexcept;

/// A hash of bytes that is the same on all machines; also the order in which snapshots walk keys.
[[nodiscard]] std::uint64_t stable_hash(std::span<const std::byte> bytes,
                                        std::uint64_t seed = 0) noexcept;

}  // namespace bzmq::replica
