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

void disk_image::replace(const replica::snapshot_image& by) {
    who = by.who;
    last = by.last;
    chain = by.chain;
    values.clear();
    hash = 0;
    by.values->for_each([this](const replica::item& each) {
        values[{each.key().begin(), each.key().end()}] = {
            {each.value().begin(), each.value().end()}, each.expiry(), each.revision()};
        hash += value_hash(each.key(), each.value(), each.expiry(), each.revision());
    });
    writers.clear();
    for (const auto& each : by.writers) {
        writers[each.index] = each;
    }
    log.clear();
    log_bytes = 0;
}

// -- The disk -------------------------------------------------------------------------------------

void virtual_disk::persist(replica::persist_batch batch) {
    queue_.push_back({kind::batch, std::move(batch), {}, {}, round_});
}

void virtual_disk::persist(const replica::snapshot_image& image) {
    disk_image fresh;
    fresh.replace(image);
    queue_.push_back({kind::snapshot, image.behind, std::move(fresh), {}, round_});
}

void virtual_disk::persist(replica::vote_record vote) {
    queue_.push_back({kind::vote, {}, {}, std::move(vote), round_});
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
    if (!batch.epochs.empty()) {
        image_.who.epochs = batch.epochs;
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

void virtual_disk::write(const waiting& what) {
    switch (what.what) {
        case kind::vote:
            image_.vote = what.vote;
            return;
        case kind::snapshot: {
            // A promise goes with the store that it was for.
            const auto vote = what.image->who.store == image_.who.store ? image_.vote
                                                                        : replica::vote_record{};
            image_ = *what.image;
            image_.vote = vote;
            break;
        }
        case kind::batch:
            break;
    }
    write(what.batch, what.batch.entries.size());
}

std::vector<virtual_disk::verdict> virtual_disk::finish() {
    busy_ = false;
    std::vector<verdict> out;
    for (const auto& each : std::exchange(writing_, {})) {
        if (each.round <= failed_round_ && each.what == kind::batch) {
            continue;
        }
        error problem;
        if (full_ || each.round <= failed_round_) {
            problem = {ec::backend_failure, "the disk is full"};
            if (each.what == kind::batch) {
                failed_round_ = round_;
            }
        } else {
            write(each);
        }
        const bool merges = each.what == kind::batch && !out.empty()
                            && out.back().what == kind::batch && !out.back().problem;
        if (merges) {
            out.pop_back();
        }
        out.push_back({each.what, image_.last, problem});
    }
    return out;
}

std::size_t virtual_disk::left() const {
    std::size_t out = 0;
    for (const auto* part : {&writing_, &queue_}) {
        for (const auto& each : *part) {
            const auto entries = each.what == kind::batch ? each.batch.entries.size() : 1;
            out += each.round > failed_round_ ? entries : 0;
        }
    }
    return full_ ? 0 : out;
}

void virtual_disk::stop(std::size_t kept) {
    for (const auto* part : {&writing_, &queue_}) {
        for (const auto& each : *part) {
            if (each.round <= failed_round_ || kept == 0) {
                continue;
            }
            if (each.what != kind::batch) {
                write(each);
                --kept;
                continue;
            }
            const auto count = std::min(kept, each.batch.entries.size());
            write(each.batch, count);
            kept -= count;
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
