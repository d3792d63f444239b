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

/// One value of a store under its key: immutable, shared by reference count, in one allocation.
class item {
  public:
    [[nodiscard]] std::span<const std::byte> key() const noexcept { return {bytes(), key_size_}; }
    [[nodiscard]] std::span<const std::byte> value() const noexcept {
        return {bytes() + key_size_, value_size_};
    }
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    [[nodiscard]] sequence revision() const noexcept { return revision_; }
    [[nodiscard]] timestamp expiry() const noexcept { return expiry_; }
    [[nodiscard]] bool expired(timestamp wall) const noexcept {
        return expiry_ != no_expiry && expiry_ <= wall;
    }
    /// Bytes of memory that it takes, about.
    [[nodiscard]] std::size_t footprint() const noexcept {
        return sizeof(item) + key_size_ + value_size_;
    }

  private:
    friend class item_ptr;
    item() = default;
    [[nodiscard]] const std::byte* bytes() const noexcept {
        return reinterpret_cast<const std::byte*>(this + 1);
    }

    std::atomic<std::uint32_t> refs_{1};
    std::uint32_t key_size_ = 0;
    std::uint32_t value_size_ = 0;
    std::uint64_t hash_ = 0;
    sequence revision_ = 0;
    timestamp expiry_ = no_expiry;
};

/// An owning pointer to an item.
class item_ptr {
  public:
    item_ptr() = default;
    static item_ptr make(std::span<const std::byte> key, std::uint64_t hash,
                         std::span<const std::byte> value, timestamp expiry, sequence revision);
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
    /// Bytes of memory, about.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    template <class F>
    void for_each(F&& visit) const {
        for (const auto& part : partitions_) {
            for (const auto& each : part.slots) {
                if (each.held != nullptr) {
                    visit(*each.held);
                }
            }
        }
    }
    /// Appends items in the order of their hashes, from hash `from` on, until `bytes_max` is
    /// reached; items with equal hashes stay together. Returns the hash to go on from, or
    /// `walk_end` behind the last one.
    struct walk_position {
        std::uint64_t next = 0;
        bool at_end = false;
    };
    walk_position walk(std::uint64_t from, std::size_t bytes_max, std::vector<item_ptr>& out) const;

  private:
    static constexpr std::size_t partition_bits = 8;
    static constexpr std::size_t partition_count = std::size_t{1} << partition_bits;
    struct slot {
        std::uint64_t hash = 0;
        const item* held = nullptr;
    };
    struct partition {
        std::vector<slot> slots;  // a power of two, open addressing, or empty
        std::size_t used = 0;
    };

    [[nodiscard]] static std::size_t partition_of(std::uint64_t hash) noexcept {
        return static_cast<std::size_t>(hash >> (64 - partition_bits));
    }
    static void grow(partition& part);
    [[nodiscard]] static std::size_t locate(const partition& part, std::span<const std::byte> key,
                                            std::uint64_t hash) noexcept;

    std::vector<partition> partitions_;
    std::size_t size_ = 0;
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
