#include "storage/crc32c.hpp"
#include "storage/lmdb_pages.hpp"
#include "storage/stored_format.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace {

using namespace bzmq;
using namespace bzmq::storage;

using bytes = std::vector<std::byte>;

void must(bool condition) {
    if (!condition) {
        std::abort();
    }
}

/// Gives the record the checksum that it should have, so that what lies behind that is reached.
bytes sealed(std::span<const std::byte> record, std::span<const std::byte> key) {
    bytes out(record.begin(), record.end());
    if (out.size() >= sizeof(std::uint32_t)) {
        const auto crc =
            crc32c(std::span<const std::byte>{out}.subspan(sizeof(std::uint32_t)), crc32c(key));
        std::memcpy(out.data(), &crc, sizeof crc);
    }
    return out;
}

void read_value(std::span<const std::byte> slot, std::span<const std::byte> record) {
    static_cast<void>(peek_expiry(record));
    const auto value = read_value_record(slot, record);
    if (!value) {
        return;
    }
    const slot_key again{value->key};
    if (!std::ranges::equal(again.bytes(), slot)) {
        return;  // A shortened key whose hash is another's: `verify` refuses it.
    }
    bytes written(value_record_size(again, *value));
    write_value_record(written.data(), again, *value);
    const auto twice = read_value_record(slot, written);
    must(twice && std::ranges::equal(twice->key, value->key)
         && std::ranges::equal(twice->value, value->value) && twice->revision == value->revision
         && twice->expiry == value->expiry);
}

void read_others(std::span<const std::byte> key, std::span<const std::byte> input) {
    const auto as = [input](std::string_view name) {
        return sealed(input, std::as_bytes(std::span{name.data(), name.size()}));
    };
    if (const auto record = as("position"); const auto at = read_position_record(record)) {
        must(position_record(*at) == record);
    }
    if (const auto record = as("identity"); const auto who = read_identity_record(record)) {
        must(read_identity_record(identity_record(*who)).has_value());
    }
    if (const auto record = sealed(input, key); const auto who = read_writer_record(key, record)) {
        must(std::ranges::equal(writer_record(*who), record));
    }
    if (const auto number = read_sequence_key(key)) {
        const auto record = sealed(input, key);
        if (const auto entry = read_log_record(*number, record)) {
            bytes again(record.size());
            write_log_record(again.data(), *number, *entry);
            must(again == record);
        }
    }
    static_cast<void>(read_format_record(input));
    static_cast<void>(printable_key(input));
}

}  // namespace

// The input is a record under a key (its first byte says how long that is), with the checksum that
// it has and with the right one; and a whole file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* raw, std::size_t size) {
    const auto input = std::as_bytes(std::span{raw, size});
    if (const auto states = read_states(input)) {
        for (const auto& state : *states) {
            static_cast<void>(check_pages(input, state));
        }
    }
    if (size == 0) {
        return 0;
    }
    const auto key = input.subspan(1, std::min<std::size_t>(raw[0], size - 1));
    const auto record = input.subspan(1 + key.size());
    read_value(key, record);
    read_value(key, sealed(record, key));
    read_others(key, record);
    return 0;
}
