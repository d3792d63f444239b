#include "replica/table.hpp"

#include <algorithm>
#include <new>

namespace bzmq::replica {

item_ptr item_ptr::make(std::span<const std::byte> key, std::uint64_t hash,
                        std::span<const std::byte> value, timestamp expiry, sequence revision) {
    auto* memory = ::operator new(sizeof(item) + key.size() + value.size());
    auto* made = new (memory) item;
    made->key_size_ = static_cast<std::uint32_t>(key.size());
    made->value_size_ = static_cast<std::uint32_t>(value.size());
    made->hash_ = hash;
    made->revision_ = revision;
    made->expiry_ = expiry;
    auto* to = reinterpret_cast<std::byte*>(made + 1);
    if (!key.empty()) {
        std::memcpy(to, key.data(), key.size());
    }
    if (!value.empty()) {
        std::memcpy(to + key.size(), value.data(), value.size());
    }
    item_ptr out;
    out.item_ = made;
    return out;
}

void item_ptr::drop(const item* what) noexcept {
    if (what != nullptr && refs(what).fetch_sub(1, std::memory_order_acq_rel) == 1) {
        auto* mine = const_cast<item*>(what);
        mine->~item();
        ::operator delete(mine);
    }
}

namespace {

bool same_key(const item& held, std::span<const std::byte> key) noexcept {
    const auto other = held.key();
    return other.size() == key.size()
           && (key.empty() || std::memcmp(other.data(), key.data(), key.size()) == 0);
}

}  // namespace

/// The slot that holds `key`, or the free one where it would go.
std::size_t table::locate(const partition& part, std::span<const std::byte> key,
                          std::uint64_t hash) noexcept {
    const auto mask = part.slots.size() - 1;
    auto at = static_cast<std::size_t>(hash) & mask;
    while (part.slots[at].held != nullptr
           && (part.slots[at].hash != hash || !same_key(*part.slots[at].held, key))) {
        at = (at + 1) & mask;
    }
    return at;
}

const item* table::find(std::span<const std::byte> key, std::uint64_t hash) const noexcept {
    const auto& part = partitions_[partition_of(hash)];
    return part.slots.empty() ? nullptr : part.slots[locate(part, key, hash)].held;
}

const item* table::find(std::uint64_t hash, sequence revision) const noexcept {
    const auto& part = partitions_[partition_of(hash)];
    if (part.slots.empty()) {
        return nullptr;
    }
    const auto mask = part.slots.size() - 1;
    for (auto at = static_cast<std::size_t>(hash) & mask; part.slots[at].held != nullptr;
         at = (at + 1) & mask) {
        if (part.slots[at].hash == hash && part.slots[at].held->revision() == revision) {
            return part.slots[at].held;
        }
    }
    return nullptr;
}

void table::grow(partition& part) {
    std::vector<slot> bigger(part.slots.empty() ? 4 : part.slots.size() * 2);
    const auto mask = bigger.size() - 1;
    for (const auto& each : part.slots) {
        if (each.held != nullptr) {
            auto at = static_cast<std::size_t>(each.hash) & mask;
            while (bigger[at].held != nullptr) {
                at = (at + 1) & mask;
            }
            bigger[at] = each;
        }
    }
    part.slots.swap(bigger);
}

void table::put(item_ptr what) {
    const auto hash = what->hash();
    auto& part = partitions_[partition_of(hash)];
    if ((part.used + 1) * 4 > part.slots.size() * 3) {
        grow(part);
    }
    auto& at = part.slots[locate(part, what->key(), hash)];
    bytes_ += what->footprint();
    if (at.held != nullptr) {
        bytes_ -= at.held->footprint();
        item_ptr::drop(at.held);
    } else {
        ++part.used;
        ++size_;
    }
    at = {hash, what.release()};
}

bool table::erase(std::span<const std::byte> key, std::uint64_t hash) {
    auto& part = partitions_[partition_of(hash)];
    if (part.slots.empty()) {
        return false;
    }
    auto hole = locate(part, key, hash);
    if (part.slots[hole].held == nullptr) {
        return false;
    }
    bytes_ -= part.slots[hole].held->footprint();
    item_ptr::drop(part.slots[hole].held);
    --part.used;
    --size_;
    // Move up whatever could no longer be found behind the hole.
    const auto mask = part.slots.size() - 1;
    for (auto at = (hole + 1) & mask; part.slots[at].held != nullptr; at = (at + 1) & mask) {
        const auto home = static_cast<std::size_t>(part.slots[at].hash) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            part.slots[hole] = part.slots[at];
            hole = at;
        }
    }
    part.slots[hole] = {};
    return true;
}

void table::clear() noexcept {
    for (auto& part : partitions_) {
        for (const auto& each : part.slots) {
            item_ptr::drop(each.held);
        }
        part = {};
    }
    size_ = bytes_ = 0;
}

void table::swap(table& other) noexcept {
    partitions_.swap(other.partitions_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
}

table::walk_position table::walk(std::uint64_t from, std::size_t bytes_max,
                                 std::vector<item_ptr>& out) const {
    std::vector<slot> part_items;
    std::size_t taken = 0;
    for (auto part = partition_of(from); part < partition_count; ++part) {
        part_items.clear();
        for (const auto& each : partitions_[part].slots) {
            if (each.held != nullptr && each.hash >= from) {
                part_items.push_back(each);
            }
        }
        std::sort(part_items.begin(), part_items.end(),
                  [](const slot& a, const slot& b) { return a.hash < b.hash; });
        for (std::size_t i = 0; i < part_items.size(); ++i) {
            if (taken >= bytes_max && part_items[i].hash != part_items[i - 1].hash) {
                return {part_items[i].hash, false};
            }
            out.push_back(item_ptr::share(part_items[i].held));
            taken += part_items[i].held->footprint();
        }
        if (taken >= bytes_max && part + 1 < partition_count) {
            return {std::uint64_t{part + 1} << (64 - partition_bits), false};
        }
    }
    return {0, true};
}

}  // namespace bzmq::replica
