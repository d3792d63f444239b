#include "sim/stores_disk.hpp"

#include <fmt/format.h>

namespace bzmq::sim::stores {

std::uint64_t value_hash(std::span<const std::byte> key, std::span<const std::byte> value,
                         timestamp expiry, replica::sequence revision) noexcept {
    const auto when = static_cast<std::uint64_t>(expiry.time_since_epoch().count());
    const auto of_value = replica::stable_hash(value, when ^ (revision * 0x9e3779b97f4a7c15ULL));
    return replica::stable_hash(key, of_value);
}

std::uint64_t state_hash(const replica::table& values) {
    std::uint64_t sum = 0;
    values.for_each([&](const replica::item& each) {
        sum += value_hash(each.key(), each.value(), each.expiry(), each.revision());
    });
    return sum;
}

// -- What is on disk ------------------------------------------------------------------------------

void disk_image::erase(std::span<const std::byte> key) {
    const auto at = values.find({key.begin(), key.end()});
    if (at != values.end()) {
        hash -= value_hash(key, at->second.bytes, at->second.expiry, at->second.revision);
        values.erase(at);
    }
}

void disk_image::apply(const shared_bytes& entry) {
    ++last;
    chain = replica::chain(chain, entry.span());
    log.push_back({entry, chain});
    log_bytes += entry.size();
    replica::entry_reader in{entry.span()};
    for (replica::change each; in.next(each);) {
        switch (each.kind) {
            case replica::change_kind::put:
            case replica::change_kind::put_expiring:
                erase(each.key);
                values[{each.key.begin(), each.key.end()}] = {
                    {each.value.begin(), each.value.end()}, each.expiry, last};
                hash += value_hash(each.key, each.value, each.expiry, last);
                break;
            case replica::change_kind::erase:
            case replica::change_kind::expire:
                erase(each.key);
                break;
            case replica::change_kind::clear:
                values.clear();
                hash = 0;
                break;
            case replica::change_kind::open_writer:
                writers[each.writer] = {each.writer, each.id, 0, ec::none};
                break;
            case replica::change_kind::close_writer:
                writers.erase(each.writer);
                break;
        }
    }
    const auto head = in.head();
    if (const auto at = writers.find(head.writer); at != writers.end()) {
        at->second.number = head.number;
        at->second.result = head.result;
    }
}

void disk_image::trim(std::size_t bytes_max) {
    while (!log.empty() && log_bytes > bytes_max) {
        log_bytes -= log.front().entry.size();
        log.pop_front();
    }
}

// -- The disk -------------------------------------------------------------------------------------

void virtual_disk::persist(replica::persist_batch batch) {
    queue_.push_back({std::move(batch), round_});
}

bool virtual_disk::begin() {
    if (busy_ || queue_.empty()) {
        return false;
    }
    busy_ = true;
    writing_.swap(queue_);
    return true;
}

void virtual_disk::write(const replica::persist_batch& batch, std::size_t entries) {
    if (batch.first != image_.last + 1) {
        complaint_ = fmt::format("a batch from entry {} comes behind entry {}", batch.first,
                                 image_.last);
        return;
    }
    for (std::size_t i = 0; i < entries; ++i) {
        image_.apply(batch.entries[i]);
        watch_(image_);
    }
    if (entries == batch.entries.size() && image_.chain != batch.chain_after) {
        complaint_ = fmt::format("the batch up to entry {} has the wrong chain", image_.last);
    }
    image_.trim(log_bytes_);
}

std::optional<virtual_disk::verdict> virtual_disk::finish() {
    busy_ = false;
    bool anything = false;
    error problem;
    for (const auto& each : std::exchange(writing_, {})) {
        if (each.round <= failed_round_) {
            continue;
        }
        anything = true;
        if (full_) {
            failed_round_ = round_;
            problem = {ec::backend_failure, "the disk is full"};
        } else {
            write(each.batch, each.batch.entries.size());
        }
    }
    return anything ? std::optional<verdict>{{image_.last, problem}} : std::nullopt;
}

std::size_t virtual_disk::left() const {
    std::size_t out = 0;
    for (const auto* part : {&writing_, &queue_}) {
        for (const auto& each : *part) {
            out += each.round > failed_round_ ? each.batch.entries.size() : 0;
        }
    }
    return full_ ? 0 : out;
}

void virtual_disk::stop(std::size_t kept) {
    for (const auto* part : {&writing_, &queue_}) {
        for (const auto& each : *part) {
            if (each.round > failed_round_ && kept > 0) {
                const auto count = std::min(kept, each.batch.entries.size());
                write(each.batch, count);
                kept -= count;
            }
        }
    }
    writing_.clear();
    queue_.clear();
    busy_ = false;
    failed_round_ = round_++;
}

void virtual_disk::close() { stop(left()); }

void virtual_disk::crash(prng& random) { stop(static_cast<std::size_t>(random.below(left() + 1))); }

}  // namespace bzmq::sim::stores
