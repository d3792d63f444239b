#pragma once

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "replica/host.hpp"

namespace bzmq::replica::testing {

/// What the disk of one store would have, in memory.
struct paper_disk {
    struct value {
        std::vector<std::byte> bytes;
        timestamp expiry;
        sequence revision = 0;
    };
    identity who;
    sequence base = 0;                  ///< the state below is as of this entry
    std::uint64_t base_chain = 0;
    std::map<std::vector<std::byte>, value> values;
    std::vector<stored_writer> writers;
    std::vector<shared_bytes> entries;  ///< behind `base`
    vote_record vote;
    unsigned snapshots = 0;

    [[nodiscard]] sequence last() const { return base + entries.size(); }

    void write(const persist_batch& batch) {
        ASSERT_EQ(batch.first, last() + 1);
        if (!batch.epochs.empty()) {
            who.epochs = batch.epochs;
        }
        entries.insert(entries.end(), batch.entries.begin(), batch.entries.end());
        EXPECT_EQ(chain_at(last()), batch.chain_after);
    }
    void replace(const snapshot_image& by) {
        ++snapshots;
        if (by.who.store != who.store) {
            vote = {};
        }
        who = by.who;
        base = by.last;
        base_chain = by.chain;
        writers = by.writers;
        entries.clear();
        values.clear();
        by.values->for_each([this](const item& each) {
            values[{each.key().begin(), each.key().end()}] = {
                {each.value().begin(), each.value().end()}, each.expiry(), each.revision()};
        });
        if (!by.behind.entries.empty()) {
            write(by.behind);
        }
    }
    [[nodiscard]] std::uint64_t chain_at(sequence number) const {
        auto out = base_chain;
        for (sequence at = base; at < number; ++at) {
            out = chain(out, entries[at - base].span());
        }
        return out;
    }
    /// The state as of the last entry.
    master::start load(table& into) const {
        for (const auto& [key, each] : values) {
            into.put(item_ptr::make(key, each.bytes, each.expiry, each.revision));
        }
        known_writers known;
        known.reset(writers, {});
        for (sequence number = base + 1; number <= last(); ++number) {
            const auto entry = entries[number - base - 1].span();
            entry_reader in{entry};
            for (change each; in.next(each);) {
                if (const auto what = effect_of(each, number, nullptr)) {
                    apply(each, *what, into);
                }
            }
            known.note(entry, {});
        }
        return {who, last(), chain_at(last()), known.list()};
    }
    template <class Machine>
    void load_log(Machine& into) const {
        for (sequence number = base + 1; number <= last(); ++number) {
            into.load_log(number, chain_at(number), entries[number - base - 1].span());
        }
    }
};

}  // namespace bzmq::replica::testing
