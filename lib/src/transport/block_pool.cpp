#include "transport/block_pool.hpp"

#include <atomic>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace bzmq::transport {
namespace {

/// Below this the heap serves without page faults, and a pool block would waste memory.
constexpr std::size_t heap_bytes_max = 4096;

}  // namespace

struct block_pool::state {
    /// A block together with its pool, which it keeps alive while it is in use.
    struct pooled : byte_block {
        std::shared_ptr<state> home;
    };

    explicit state(std::size_t bytes, std::size_t kept) : block_bytes(bytes), kept_max(kept) {
        idle.reserve(kept);
    }
    ~state() {
        for (auto* block : idle) {
            free(block);
        }
    }

    static void free(pooled* block) noexcept {
        block->~pooled();
        ::operator delete(block);
    }

    pooled* make() {
        void* memory = ::operator new(sizeof(pooled) + block_bytes);
        auto* block = new (memory) pooled;
        block->data = static_cast<std::byte*>(memory) + sizeof(pooled);
        block->capacity = block_bytes;
        block->dispose = [](byte_block* base) noexcept {
            auto* self = static_cast<pooled*>(base);
            const auto home = std::move(self->home);  // Last reference may be this one.
            if (!home->keep(self)) {
                free(self);
            }
        };
        made.fetch_add(1, std::memory_order_relaxed);
        return block;
    }

    bool keep(pooled* block) noexcept {
        const std::lock_guard lock{mutex};
        if (closed || idle.size() >= kept_max) {
            return false;
        }
        idle.push_back(block);  // Within what the constructor reserved.
        return true;
    }

    const std::size_t block_bytes;
    const std::size_t kept_max;
    std::atomic<std::uint64_t> made{0};
    mutable std::mutex mutex;
    bool closed = false;
    std::vector<pooled*> idle;
};

block_pool::block_pool(std::size_t block_bytes, std::size_t kept_max)
    : state_(std::make_shared<state>(block_bytes, kept_max)) {}

block_pool::~block_pool() {
    const std::lock_guard lock{state_->mutex};
    state_->closed = true;
}

block_ptr block_pool::take(std::size_t capacity) {
    if (capacity <= heap_bytes_max || capacity > state_->block_bytes) {
        return block_ptr{new_heap_block(capacity)};
    }
    state::pooled* block = nullptr;
    {
        const std::lock_guard lock{state_->mutex};
        if (!state_->idle.empty()) {
            block = state_->idle.back();
            state_->idle.pop_back();
        }
    }
    if (block == nullptr) {
        block = state_->make();
    }
    block->refs.store(1, std::memory_order_relaxed);
    block->home = state_;
    return block_ptr{block};
}

std::size_t block_pool::idle() const {
    const std::lock_guard lock{state_->mutex};
    return state_->idle.size();
}

std::uint64_t block_pool::fresh() const noexcept {
    return state_->made.load(std::memory_order_relaxed);
}

}  // namespace bzmq::transport
