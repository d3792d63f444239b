#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "bzmq/export.hpp"

namespace bzmq {

/// A block of memory with its own reference count. Whoever made it says how it is disposed of
/// (freed, returned to a pool, handed back to ZeroMQ).
struct byte_block {
    using dispose_fn = void (*)(byte_block*) noexcept;

    std::atomic<std::uint32_t> refs{1};
    std::byte* data = nullptr;
    std::size_t capacity = 0;
    dispose_fn dispose = nullptr;

    void add_ref() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() noexcept {
        // A sole owner needs no atomic read-modify-write.
        if (refs.load(std::memory_order_acquire) == 1
            || refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            dispose(this);
        }
    }
};

/// A new block of at least `capacity` bytes from the heap, one reference held by the caller.
BZMQ_EXPORT byte_block* new_heap_block(std::size_t capacity);

/// An owning pointer to a `byte_block`.
class block_ptr {
  public:
    block_ptr() = default;
    /// Adopts the caller's reference.
    explicit block_ptr(byte_block* adopted) noexcept : block_(adopted) {}
    block_ptr(const block_ptr& other) noexcept : block_(other.block_) {
        if (block_ != nullptr) {
            block_->add_ref();
        }
    }
    block_ptr(block_ptr&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    block_ptr& operator=(block_ptr other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~block_ptr() {
        if (block_ != nullptr) {
            block_->drop_ref();
        }
    }

    [[nodiscard]] byte_block* get() const noexcept { return block_; }
    byte_block* operator->() const noexcept { return block_; }
    explicit operator bool() const noexcept { return block_ != nullptr; }
    /// Gives the reference away; the caller must drop it.
    [[nodiscard]] byte_block* release() noexcept { return std::exchange(block_, nullptr); }
    void reset() noexcept { *this = block_ptr{}; }

  private:
    byte_block* block_ = nullptr;
};

/// Immutable bytes that stay alive as long as somebody holds them: a view plus a reference to the
/// block that it lies in. Copies share the memory. Safe to pass between threads.
class shared_bytes {
  public:
    shared_bytes() = default;
    shared_bytes(block_ptr block, const std::byte* data, std::size_t size) noexcept
        : block_(std::move(block)), data_(data), size_(size) {}

    /// A copy of `bytes` in a heap block of its own.
    BZMQ_EXPORT static shared_bytes copy_of(std::span<const std::byte> bytes);
    static shared_bytes copy_of(std::string_view text) {
        return copy_of(std::as_bytes(std::span{text.data(), text.size()}));
    }

    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::span<const std::byte> span() const noexcept { return {data_, size_}; }
    [[nodiscard]] std::string_view view() const noexcept {
        return {reinterpret_cast<const char*>(data_), size_};
    }
    [[nodiscard]] const block_ptr& block() const noexcept { return block_; }
    /// The part [offset, offset + count) of these bytes, which must lie within them.
    [[nodiscard]] shared_bytes slice(std::size_t offset, std::size_t count) const {
        return {block_, data_ + offset, count};
    }

  private:
    block_ptr block_;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace bzmq
