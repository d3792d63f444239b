#include "overlay/record_codec.hpp"

#include "base/bytes.hpp"
#include "overlay/limits.hpp"

namespace bzmq::overlay {
namespace {

// A count is believed only as far as the bytes behind it can hold that many items.
bool plausible(const byte_reader& in, std::uint64_t count, std::size_t bytes_each) {
    return !in.failed() && count <= in.remaining() / bytes_each;
}

void put_prefixes(byte_writer& out, const std::vector<std::string>& prefixes) {
    out.varint(prefixes.size());
    for (const auto& prefix : prefixes) {
        out.string(prefix);
    }
}

bool get_prefixes(byte_reader& in, std::vector<std::string>& prefixes) {
    const auto count = in.varint_up_to(prefixes_max);
    if (!plausible(in, count, 1)) {
        return false;
    }
    prefixes.reserve(count);
    for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
        prefixes.emplace_back(in.string_up_to(prefix_bytes_max));
    }
    return !in.failed();
}

}  // namespace

std::vector<std::byte> encode(const topology_record& record) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.id(record.origin);
    out.varint(record.sequence);
    out.string(record.name);
    out.varint(record.flags);
    out.varint(record.neighbours.size());
    for (const auto& link : record.neighbours) {
        out.id(link.id);
        out.varint(link.cost);
    }
    return bytes;
}

std::optional<topology_record> decode_topology(std::span<const std::byte> bytes) {
    byte_reader in{bytes};
    topology_record record;
    record.origin = in.id();
    record.sequence = in.varint();
    record.name = in.string_up_to(name_bytes_max);
    record.flags = static_cast<std::uint32_t>(in.varint_up_to(0xffff'ffff));
    const auto count = in.varint_up_to(neighbours_max);
    if (!plausible(in, count, 17)) {
        return std::nullopt;
    }
    record.neighbours.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto id = in.id();
        record.neighbours.push_back({id, static_cast<std::uint32_t>(in.varint_up_to(0xffff'ffff))});
    }
    if (in.failed() || !in.done() || !valid(record)) {
        return std::nullopt;
    }
    return record;
}

std::vector<std::byte> encode(const filter_record& record) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.id(record.origin);
    out.varint(record.sequence);
    put_prefixes(out, record.prefixes);
    out.varint(record.bridges.size());
    for (const auto& bridge : record.bridges) {
        out.string(bridge.domain_tag);
        put_prefixes(out, bridge.prefixes);
    }
    out.varint(record.services.size());
    for (const auto& service : record.services) {
        out.string(service);
    }
    return bytes;
}

std::optional<filter_record> decode_filter(std::span<const std::byte> bytes) {
    byte_reader in{bytes};
    filter_record record;
    record.origin = in.id();
    record.sequence = in.varint();
    if (!get_prefixes(in, record.prefixes)) {
        return std::nullopt;
    }
    const auto count = in.varint_up_to(bridges_max);
    if (!plausible(in, count, 2)) {
        return std::nullopt;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        bridge to;
        to.domain_tag = in.string_up_to(domain_tag_bytes_max);
        if (!get_prefixes(in, to.prefixes)) {
            return std::nullopt;
        }
        record.bridges.push_back(std::move(to));
    }
    const auto services = in.varint_up_to(services_max);
    if (!plausible(in, services, 1)) {
        return std::nullopt;
    }
    for (std::uint64_t i = 0; i < services && !in.failed(); ++i) {
        record.services.emplace_back(in.string_up_to(service_bytes_max));
    }
    if (in.failed() || !in.done() || !valid(record)) {
        return std::nullopt;
    }
    return record;
}

std::vector<std::byte> encode(std::span<const digest_entry> digest) {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};
    out.varint(digest.size());
    for (const auto& entry : digest) {
        out.id(entry.origin);
        out.varint(entry.topology);
        out.varint(entry.filter);
    }
    return bytes;
}

std::optional<std::vector<digest_entry>> decode_digest(std::span<const std::byte> bytes) {
    byte_reader in{bytes};
    const auto count = in.varint_up_to(nodes_max);
    if (!plausible(in, count, 18)) {
        return std::nullopt;
    }
    std::vector<digest_entry> digest;
    digest.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto id = in.id();
        const auto topology = in.varint();
        digest.push_back({id, topology, in.varint()});
    }
    if (in.failed() || !in.done()) {
        return std::nullopt;
    }
    return digest;
}

}  // namespace bzmq::overlay
