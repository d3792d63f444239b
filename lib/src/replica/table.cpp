#include "replica/table.hpp"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <new>

#include "base/assert.hpp"

namespace bzmq::replica {

item_ptr item_ptr::make(std::span<const std::byte> key, std::span<const std::byte> value,
                        timestamp expiry, sequence revision) {
    const bool large = key.size() > item::small_key_max || value.size() > item::small_value_max;
    const bool expires = expiry != no_expiry;
    const auto extra = (large ? item::sizes_bytes : 0) + (expires ? item::expiry_bytes : 0);
    auto* memory = ::operator new(sizeof(item) + extra + key.size() + value.size());
    auto* made = new (memory) item;
    made->revision_ = revision;
    made->large_ = large;
    made->expires_ = expires;
    auto* to = reinterpret_cast<std::byte*>(made + 1);
    const auto put = [&to](const void* from, std::size_t size) {
        if (size > 0) {
            std::memcpy(to, from, size);
            to += size;
        }
    };
    if (large) {
        for (const auto size : {key.size(), value.size()}) {
            const auto narrow = static_cast<std::uint32_t>(size);
            put(&narrow, sizeof narrow);
        }
    } else {
        made->key_size_ = static_cast<std::uint8_t>(key.size());
        made->value_size_ = static_cast<std::uint32_t>(value.size()) & item::small_value_max;
    }
    if (expires) {
        const std::int64_t at = expiry.time_since_epoch().count();
        put(&at, sizeof at);
    }
    put(key.data(), key.size());
    put(value.data(), value.size());
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

table::slot::slot(std::uint64_t tag, const item* what) noexcept
    : bits_(tag << (64 - tag_bits) | reinterpret_cast<std::uintptr_t>(what)) {
    BZMQ_ASSERT(held() == what);
}

std::size_t table::home_of(std::uint64_t hash, std::size_t slots) noexcept {
    return static_cast<std::size_t>(hash << partition_bits >> (64 - std::countr_zero(slots)));
}

std::size_t table::home_of(const slot& of, std::size_t slots) noexcept {
    const bool tag_does = slots <= std::size_t{1} << tag_bits;
    return home_of(tag_does ? of.tag() << (64 - tag_bits - partition_bits) : of.held()->hash(), slots);
}

/// The slot that holds `key`, or the free one where it would go.
std::size_t table::locate(const partition& part, std::span<const std::byte> key,
                          std::uint64_t hash) noexcept {
    const auto mask = part.slots.size() - 1;
    const auto tag = tag_of(hash);
    auto at = home_of(hash, part.slots.size());
    while (!part.slots[at].free()
           && (part.slots[at].tag() != tag || !same_key(*part.slots[at].held(), key))) {
        at = (at + 1) & mask;
    }
    return at;
}

const item* table::find(std::span<const std::byte> key, std::uint64_t hash) const noexcept {
    const auto& part = partitions_[partition_of(hash)];
    return part.slots.empty() ? nullptr : part.slots[locate(part, key, hash)].held();
}

const item* table::find(std::uint64_t hash, sequence revision) const noexcept {
    const auto& part = partitions_[partition_of(hash)];
    if (part.slots.empty()) {
        return nullptr;
    }
    const auto mask = part.slots.size() - 1;
    for (auto at = home_of(hash, part.slots.size()); !part.slots[at].free(); at = (at + 1) & mask) {
        const auto* held = part.slots[at].held();
        if (part.slots[at].tag() == tag_of(hash) && held->revision() == revision
            && held->hash() == hash) {
            return held;
        }
    }
    return nullptr;
}

void table::grow(partition& part) {
    std::vector<slot> bigger(part.slots.empty() ? 4 : part.slots.size() * 2);
    const auto mask = bigger.size() - 1;
    for (const auto& each : part.slots) {
        if (!each.free()) {
            auto at = home_of(each, bigger.size());
            while (!bigger[at].free()) {
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
    expiring_ += what->expires() ? 1 : 0;
    if (!at.free()) {
        bytes_ -= at.held()->footprint();
        expiring_ -= at.held()->expires() ? 1 : 0;
        item_ptr::drop(at.held());
    } else {
        ++part.used;
        ++size_;
    }
    at = slot{tag_of(hash), what.release()};
}

bool table::erase(std::span<const std::byte> key, std::uint64_t hash) {
    auto& part = partitions_[partition_of(hash)];
    if (part.slots.empty()) {
        return false;
    }
    auto hole = locate(part, key, hash);
    if (part.slots[hole].free()) {
        return false;
    }
    bytes_ -= part.slots[hole].held()->footprint();
    expiring_ -= part.slots[hole].held()->expires() ? 1 : 0;
    item_ptr::drop(part.slots[hole].held());
    --part.used;
    --size_;
    // Move up whatever could no longer be found behind the hole.
    const auto mask = part.slots.size() - 1;
    for (auto at = (hole + 1) & mask; !part.slots[at].free(); at = (at + 1) & mask) {
        const auto home = home_of(part.slots[at], part.slots.size());
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
            item_ptr::drop(each.held());
        }
        part = {};
    }
    size_ = expiring_ = bytes_ = 0;
}

std::size_t table::live(timestamp wall) const {
    if (expiring_ == 0) {
        return size_;
    }
    std::size_t out = 0;
    for (std::size_t part = 0; part < parts(); ++part) {
        out += live(wall, part);
    }
    return out;
}

std::size_t table::live(timestamp wall, std::size_t part) const {
    const auto& slots = partitions_[part].slots;
    return static_cast<std::size_t>(std::count_if(slots.begin(), slots.end(), [&](const slot& each) {
        return !each.free() && !each.held()->expired(wall);
    }));
}

void table::swap(table& other) noexcept {
    partitions_.swap(other.partitions_);
    std::swap(size_, other.size_);
    std::swap(expiring_, other.expiring_);
    std::swap(bytes_, other.bytes_);
}

table::walk_position table::walk(std::uint64_t from, std::size_t bytes_max,
                                 std::vector<item_ptr>& out) const {
    std::vector<slot> sorted;
    std::size_t taken = 0;
    for (auto part = partition_of(from); part < partition_count; ++part) {
        const auto begin = part == partition_of(from) ? from : 0;
        sorted.clear();
        for (const auto& each : partitions_[part].slots) {
            if (!each.free()
                && (each.tag() > tag_of(begin)
                    || (each.tag() == tag_of(begin) && (begin == 0 || each.held()->hash() >= begin)))) {
                sorted.push_back(each);
            }
        }
        std::sort(sorted.begin(), sorted.end(),
                  [](const slot& a, const slot& b) { return a.tag() < b.tag(); });
        for (std::size_t i = 0; i < sorted.size(); ++i) {
            if (i > 0 && taken >= bytes_max && sorted[i].tag() != sorted[i - 1].tag()) {
                // It ends where a tag does, so that hashes need not be known.
                return {std::uint64_t{part} << (64 - partition_bits)
                            | sorted[i].tag() << (64 - partition_bits - tag_bits),
                        false};
            }
            out.push_back(item_ptr::share(sorted[i].held()));
            taken += sorted[i].held()->footprint();
        }
        if (taken >= bytes_max && part + 1 < partition_count) {
            return {std::uint64_t{part + 1} << (64 - partition_bits), false};
        }
    }
    return {0, true};
}

}  // namespace bzmq::replica
