#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bzmq/time.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {

/// One value of a store under its key: immutable, shared by reference count, in one allocation. There
/// may be many millions of them, so that what few have stands behind the header, and only there.
class item {
  public:
    [[nodiscard]] std::span<const std::byte> key() const noexcept { return {body(), key_size()}; }
    [[nodiscard]] std::span<const std::byte> value() const noexcept {
        return {body() + key_size(), value_size()};
    }
    [[nodiscard]] std::uint64_t hash() const noexcept { return stable_hash(key()); }
    [[nodiscard]] sequence revision() const noexcept { return revision_; }
    [[nodiscard]] timestamp expiry() const noexcept {
        return expires_ ? timestamp{timespan{load<std::int64_t>(large_ ? sizes_bytes : 0)}}
                        : no_expiry;
    }
    [[nodiscard]] bool expires() const noexcept { return expires_; }
    [[nodiscard]] bool expired(timestamp wall) const noexcept {
        return expires_ && expiry() <= wall;
    }
    /// Bytes of memory that it takes, about.
    [[nodiscard]] std::size_t footprint() const noexcept {
        return sizeof(item) + extra() + key_size() + value_size();
    }

  private:
    friend class item_ptr;
    // Where a size does not fit the header, both stand in front of the rest.
    static constexpr std::size_t small_key_max = (std::size_t{1} << 8) - 1;
    static constexpr std::size_t small_value_max = (std::size_t{1} << 22) - 1;
    static constexpr std::size_t sizes_bytes = 2 * sizeof(std::uint32_t);
    static constexpr std::size_t expiry_bytes = sizeof(std::int64_t);

    item() = default;
    template <class T>
    [[nodiscard]] T load(std::size_t offset) const noexcept {
        T out;
        std::memcpy(&out, reinterpret_cast<const std::byte*>(this + 1) + offset, sizeof out);
        return out;
    }
    [[nodiscard]] std::size_t extra() const noexcept {
        return (large_ ? sizes_bytes : 0) + (expires_ ? expiry_bytes : 0);
    }
    [[nodiscard]] std::size_t key_size() const noexcept {
        return large_ ? load<std::uint32_t>(0) : key_size_;
    }
    [[nodiscard]] std::size_t value_size() const noexcept {
        return large_ ? load<std::uint32_t>(sizeof(std::uint32_t)) : value_size_;
    }
    [[nodiscard]] const std::byte* body() const noexcept {
        return reinterpret_cast<const std::byte*>(this + 1) + extra();
    }

    std::atomic<std::uint32_t> refs_{1};
    std::uint32_t large_ : 1 = 0;
    std::uint32_t expires_ : 1 = 0;
    std::uint32_t key_size_ : 8 = 0;
    std::uint32_t value_size_ : 22 = 0;
    sequence revision_ = 0;
};
static_assert(sizeof(item) == 16);

/// An owning pointer to an item.
class item_ptr {
  public:
    item_ptr() = default;
    static item_ptr make(std::span<const std::byte> key, std::span<const std::byte> value,
                         timestamp expiry, sequence revision);
    static item_ptr share(const item* what) noexcept {
        item_ptr out;
        out.item_ = what;
        if (what != nullptr) {
            refs(what).fetch_add(1, std::memory_order_relaxed);
        }
        return out;
    }
    item_ptr(const item_ptr& other) noexcept { *this = share(other.item_); }
    item_ptr(item_ptr&& other) noexcept : item_(std::exchange(other.item_, nullptr)) {}
    item_ptr& operator=(const item_ptr& other) noexcept { return *this = share(other.item_); }
    item_ptr& operator=(item_ptr&& other) noexcept {
        std::swap(item_, other.item_);
        return *this;
    }
    ~item_ptr() { drop(item_); }

    [[nodiscard]] const item* get() const noexcept { return item_; }
    const item* operator->() const noexcept { return item_; }
    const item& operator*() const noexcept { return *item_; }
    explicit operator bool() const noexcept { return item_ != nullptr; }
    [[nodiscard]] const item* release() noexcept { return std::exchange(item_, nullptr); }
    static void drop(const item* what) noexcept;

  private:
    static std::atomic<std::uint32_t>& refs(const item* what) noexcept {
        return const_cast<item*>(what)->refs_;
    }
    const item* item_ = nullptr;
};

/// The values of one store in memory, found by the hash of their keys. One writer; readers on other
/// threads only while the writer is kept out (see `write_gate`). Partitioned by the hash's upper
/// bits, so that growing never moves everything at once and a walk in the order of the hashes can
/// stop and go on while the table changes.
class table {
  public:
    table() : partitions_(partition_count) {}
    ~table() { clear(); }
    table(const table&) = delete;
    table& operator=(const table&) = delete;

    [[nodiscard]] static std::uint64_t hash_of(std::span<const std::byte> key) noexcept {
        return stable_hash(key);
    }
    /// Null where there is none.
    [[nodiscard]] const item* find(std::span<const std::byte> key, std::uint64_t hash) const noexcept;
    [[nodiscard]] const item* find(std::span<const std::byte> key) const noexcept {
        return find(key, hash_of(key));
    }
    /// The item with this hash that this entry wrote; null where it is gone.
    [[nodiscard]] const item* find(std::uint64_t hash, sequence revision) const noexcept;
    /// Replaces what has the same key.
    void put(item_ptr what);
    bool erase(std::span<const std::byte> key, std::uint64_t hash);
    void clear() noexcept;
    void swap(table& other) noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Of these, with an expiry.
    [[nodiscard]] std::size_t expiring() const noexcept { return expiring_; }
    /// Items that a reader may see at `wall`: a walk over all where any of them has an expiry.
    [[nodiscard]] std::size_t live(timestamp wall) const;
    /// The same of one of so many parts, so that nobody is kept waiting for a walk over all.
    [[nodiscard]] static constexpr std::size_t parts() noexcept { return partition_count; }
    [[nodiscard]] std::size_t live(timestamp wall, std::size_t part) const;
    /// Bytes of memory, about.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    template <class F>
    void for_each(F&& visit) const {
        for (const auto& part : partitions_) {
            for (const auto& each : part.slots) {
                if (!each.free()) {
                    visit(*each.held());
                }
            }
        }
    }
    /// Appends all items with hashes from `from` up to some other one, which it returns, of about
    /// `bytes_max` bytes or more.
    struct walk_position {
        std::uint64_t next = 0;
        bool at_end = false;
    };
    walk_position walk(std::uint64_t from, std::size_t bytes_max, std::vector<item_ptr>& out) const;

  private:
    static constexpr std::size_t partition_bits = 8;
    static constexpr std::size_t partition_count = std::size_t{1} << partition_bits;
    static constexpr unsigned tag_bits = 16;
    /// The hash's bits behind those of the partition. They tell items apart in nearly all cases, and
    /// say where one belongs, without a look at it.
    [[nodiscard]] static std::uint64_t tag_of(std::uint64_t hash) noexcept {
        return hash << partition_bits >> (64 - tag_bits);
    }
    /// An item's address in 48 bits, which is what processes have to address memory with, and the
    /// tag above.
    class slot {
      public:
        slot() = default;
        slot(std::uint64_t tag, const item* what) noexcept;
        [[nodiscard]] bool free() const noexcept { return bits_ == 0; }
        [[nodiscard]] std::uint64_t tag() const noexcept { return bits_ >> (64 - tag_bits); }
        [[nodiscard]] const item* held() const noexcept {
            return reinterpret_cast<const item*>(
                static_cast<std::uintptr_t>(bits_ << tag_bits >> tag_bits));
        }

      private:
        std::uint64_t bits_ = 0;
    };
    struct partition {
        std::vector<slot> slots;  // a power of two, open addressing, or empty
        std::size_t used = 0;
    };

    [[nodiscard]] static std::size_t partition_of(std::uint64_t hash) noexcept {
        return static_cast<std::size_t>(hash >> (64 - partition_bits));
    }
    /// Where an item belongs among so many slots.
    [[nodiscard]] static std::size_t home_of(std::uint64_t hash, std::size_t slots) noexcept;
    [[nodiscard]] static std::size_t home_of(const slot& of, std::size_t slots) noexcept;
    static void grow(partition& part);
    [[nodiscard]] static std::size_t locate(const partition& part, std::span<const std::byte> key,
                                            std::uint64_t hash) noexcept;

    std::vector<partition> partitions_;
    std::size_t size_ = 0;
    std::size_t expiring_ = 0;  // of them, those that have an expiry
    std::size_t bytes_ = 0;
};

/// Keeps readers on other threads out of a table while it changes.
class write_gate {
  public:
    virtual ~write_gate() = default;
    virtual void lock() = 0;
    virtual void unlock() = 0;
};

/// Keeps them out as long as it lives.
class write_lock {
  public:
    explicit write_lock(write_gate& gate) : gate_(gate) { gate_.lock(); }
    ~write_lock() { gate_.unlock(); }
    write_lock(const write_lock&) = delete;
    write_lock& operator=(const write_lock&) = delete;

  private:
    write_gate& gate_;
};

/// Lets everybody in: where there are no other threads.
class no_gate final : public write_gate {
  public:
    void lock() override {}
    void unlock() override {}
};

}  // namespace bzmq::replica
