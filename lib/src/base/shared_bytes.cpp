#include "bzmq/shared_bytes.hpp"

#include <cstring>
#include <new>

namespace bzmq {

byte_block* new_heap_block(std::size_t capacity) {
    // Header and bytes in one allocation.
    void* memory = ::operator new(sizeof(byte_block) + capacity);
    auto* block = new (memory) byte_block;
    block->data = static_cast<std::byte*>(memory) + sizeof(byte_block);
    block->capacity = capacity;
    block->dispose = [](byte_block* self) noexcept {
        self->~byte_block();
        ::operator delete(self);
    };
    return block;
}

shared_bytes shared_bytes::copy_of(std::span<const std::byte> bytes) {
    block_ptr block{new_heap_block(bytes.size())};
    if (!bytes.empty()) {
        std::memcpy(block->data, bytes.data(), bytes.size());
    }
    const auto* data = block->data;
    return {std::move(block), data, bytes.size()};
}

}  // namespace bzmq
