#include "overlay/record_codec.hpp"

#include <algorithm>
#include <cstdlib>

#include "overlay/link_state.hpp"
#include "wire/records.hpp"

namespace {

using namespace bzmq;

/// What a decoder accepts comes back from what the encoder makes of it.
template <class Record, class Decode>
void check(std::span<const std::byte> input, Decode&& decode, overlay::link_state_db& db) {
    const std::optional<Record> record = decode(input);
    if (!record) {
        return;
    }
    if (decode(overlay::encode(*record)) != record) {
        std::abort();
    }
    db.apply(*record, instant{1});
}

void walk_records(std::span<const std::byte> input) {
    std::vector<std::byte> again;
    std::string_view topic;
    wire::record_cursor cursor{input};
    for (wire::record record; cursor.next(record);) {
        if (record.same_topic && record.topic != topic) {
            std::abort();
        }
        topic = record.topic;
        const auto at = again.size();
        again.resize(at + wire::record_size(topic, record.payload.size(), record.same_topic));
        auto* to = wire::put_record_head(again.data() + at, topic, record.payload.size(),
                                         record.same_topic);
        to = std::copy(record.payload.begin(), record.payload.end(), to);
        if (to != again.data() + again.size()) {
            std::abort();
        }
    }
    // Shorter, where the input spelled a number longer than need be; never longer.
    if (!cursor.malformed() && again.size() > input.size()) {
        std::abort();
    }
}

}  // namespace

// Link-state records, digests and message records: accepted ones survive a round trip, and a
// database takes them in whatever they claim.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto input = std::as_bytes(std::span{bytes, size});
    walk_records(input);
    endpoint_id::bytes_type self{};
    self[0] = 1;
    overlay::link_state_db db{endpoint_id{self}};
    check<overlay::topology_record>(input, overlay::decode_topology, db);
    check<overlay::filter_record>(input, overlay::decode_filter, db);
    if (const auto digest = overlay::decode_digest(input)) {
        if (overlay::decode_digest(overlay::encode(*digest)) != digest) {
            std::abort();
        }
        static_cast<void>(db.newer_than(*digest));
    }
    static_cast<void>(db.digest_hash());
    return 0;
}
