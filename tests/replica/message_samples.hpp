#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "replica/command.hpp"
#include "replica/host.hpp"
#include "replica/messages.hpp"

/// One message of each type, as docs/protocol.md shows them.
namespace bzmq::replica::testing {

inline std::span<const std::byte> raw(std::string_view text) {
    return std::as_bytes(std::span{text.data(), text.size()});
}

inline std::vector<std::byte> raw_copy(std::string_view text) {
    return {raw(text).begin(), raw(text).end()};
}

const endpoint_id sample_store{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
const endpoint_id sample_clone{{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}};
constexpr std::uint64_t sample_epoch = 0x100005;
constexpr std::int64_t sample_wall = 1'790'000'000'000'000'000;

/// The log entry of the samples: writer 3's first command puts "v" under "k".
inline std::vector<std::byte> sample_entry() {
    std::vector<std::byte> out;
    put_head(out, {3, 1, ec::none});
    put_change(out, {change_kind::open_writer, {}, {}, no_expiry, 3, sample_clone});
    put_change(out, {change_kind::put, raw("k"), raw("v"), no_expiry, 0, {}});
    return out;
}

inline attach_message sample_attach() {
    return {sample_clone, 2, sample_store, 300, 0x0807060504030201, true, 299, sample_epoch, "e1"};
}
inline welcome_message sample_welcome() {
    welcome_message out;
    out.clone = sample_clone;
    out.attempt = 2;
    out.round = 7;
    out.store = sample_store;
    out.epoch = sample_epoch;
    out.from = 300;
    out.chain = 0x0807060504030201;
    out.committed = 299;
    out.snapshot = true;
    out.durable = true;
    out.wall = sample_wall;
    out.heartbeat = 1'000'000'000;
    out.epochs = {{sample_epoch, 1}};
    out.writers = {{3, sample_clone, 5, ec::none}};
    out.number = 5;
    out.results_from = 2;
    out.failures = {{3, 4, ec::type_clash}};
    return out;
}
inline heartbeat_message sample_heartbeat() {
    return {sample_epoch, 300, 299, 299, 0x0807060504030201, sample_wall};
}
inline ack_message sample_ack() { return {sample_epoch, 7, 300, 299, 298, true, true, 1ULL << 63}; }
inline taken_message sample_taken() { return {sample_clone, sample_epoch, 5, true}; }
inline refuse_message sample_refuse() { return {sample_clone, ec::stale_data, "bye"}; }
inline failed_message sample_failed() { return {sample_clone, 3, 4, ec::backend_failure}; }
inline detach_message sample_detach() { return {sample_clone}; }
inline claim_message sample_claim() { return {sample_store, sample_epoch, 300}; }
inline ask_vote_message sample_ask_vote() {
    return {sample_store, true, "e1", 0x100000000005, {sample_epoch, 300}};
}
inline vote_message sample_vote() {
    return {sample_store, true, true, "e2", 0x100000000005, sample_epoch};
}

/// What entries and commands look like, and the hashes; by the names of their vectors.
inline std::map<std::string, std::vector<std::byte>> sample_parts() {
    std::vector<std::byte> put;
    put_command(put, {operation::put, raw("k"), raw("v"), {}, 0, timespan{std::chrono::seconds{1}}, {}});
    std::vector<std::byte> compare;
    put_command(compare, {operation::compare_and_put, raw("k"), raw("v"), {}, 300, {}, {}});
    std::vector<std::byte> pair;
    put_command(pair, {operation::insert_pair, raw("k"), raw("v"), raw("i"), 0, {}, {}});
    std::vector<std::byte> parts;
    byte_writer to{parts};
    for (const auto& each : {compare, pair}) {
        to.varint(each.size());
        to.bytes(each);
    }
    std::vector<std::byte> batch;
    put_command(batch, {operation::batch, {}, {}, {}, 0, {}, parts});
    std::vector<std::byte> hashes;
    byte_writer numbers{hashes};
    for (const std::string_view of : {"", "k", "12345678", "0123456789abcdefg"}) {
        numbers.fixed(stable_hash(raw(of)));
    }
    const auto entry = sample_entry();
    std::vector<std::byte> chained;
    byte_writer{chained}.fixed(chain(0x0807060504030201, entry));
    std::vector<std::byte> epochs;
    byte_writer{epochs}.fixed(epoch_after_start(0, sample_store));
    byte_writer{epochs}.fixed(epoch_after_promotion(sample_epoch, sample_clone));
    const auto elector = raw_copy(elector_service_of("s", "e1"));
    return {{"store-entry", entry},     {"store-put", put},     {"store-batch", batch},
            {"store-hash", hashes},     {"store-chain", chained}, {"store-epoch", epochs},
            {"store-elector", elector}};
}

/// By the names of their vectors.
inline std::map<std::string, std::vector<std::byte>> sample_messages() {
    const auto entry = sample_entry();
    log_message log;
    log.epoch = sample_epoch;
    log.first = 301;
    log.committed = 299;
    log.wall = sample_wall;
    log.entries = {entry};
    chunk_message chunk;
    chunk.epoch = sample_epoch;
    chunk.round = 7;
    chunk.from = 1ULL << 62;
    chunk.to = 1ULL << 63;
    chunk.at = 300;
    chunk.total = 1'000;
    chunk.values = {{raw("k"), raw("v"), no_expiry, 9},
                    {raw("l"), raw("w"), timestamp{timespan{sample_wall}}, 10}};
    write_message write;
    write.clone = sample_clone;
    write.epoch = sample_epoch;
    write.round = 7;
    write.done = 4;
    write.first = 5;
    write.commands = {raw("\x0d")};  // clear
    return {
        {"store-attach", encode("s", sample_attach())},
        {"store-welcome", encode("s", sample_welcome())},
        {"store-log", encode("s", log)},
        {"store-chunk", encode("s", chunk)},
        {"store-heartbeat", encode("s", sample_heartbeat())},
        {"store-ack", encode("s", sample_ack())},
        {"store-write", encode("s", write)},
        {"store-taken", encode("s", sample_taken())},
        {"store-refuse", encode("s", sample_refuse())},
        {"store-detach", encode("s", sample_detach())},
        {"store-closing", encode_closing("s")},
        {"store-claim", encode("s", sample_claim())},
        {"store-claim-question", encode("s", claim_message{sample_store, 0, 300})},
        {"store-claim-refused", encode("s", claim_message{})},
        {"store-failed", encode("s", sample_failed())},
        {"store-ask-vote", encode("s", sample_ask_vote())},
        {"store-vote", encode("s", sample_vote())},
        {"store-promote", encode_promote("s")},
    };
}

/// Reads the body with the reader of its type and writes it again; nothing where it is malformed.
inline std::optional<std::vector<std::byte>> encode_again(std::span<const std::byte> message) {
    byte_reader in{message};
    const auto head = read_head(in);
    if (!head) {
        return std::nullopt;
    }
    const auto again = [&](const auto& what) -> std::optional<std::vector<std::byte>> {
        return what ? std::optional{encode(head->store, *what)} : std::nullopt;
    };
    switch (head->type) {
        case message_type::attach:
            return again(read_attach(in));
        case message_type::welcome:
            return again(read_welcome(in));
        case message_type::log:
            return again(read_log(in));
        case message_type::chunk:
            return again(read_chunk(in));
        case message_type::heartbeat:
            return again(read_heartbeat(in));
        case message_type::ack:
            return again(read_ack(in));
        case message_type::write:
            return again(read_write(in));
        case message_type::taken:
            return again(read_taken(in));
        case message_type::refuse:
            return again(read_refuse(in));
        case message_type::detach:
            return again(read_detach(in));
        case message_type::closing:
            return in.done() ? std::optional{encode_closing(head->store)} : std::nullopt;
        case message_type::promote:
            return in.done() ? std::optional{encode_promote(head->store)} : std::nullopt;
        case message_type::claim:
            return again(read_claim(in));
        case message_type::failed:
            return again(read_failed(in));
        case message_type::ask_vote:
            return again(read_ask_vote(in));
        case message_type::vote:
            return again(read_vote(in));
    }
    return std::nullopt;
}

}  // namespace bzmq::replica::testing
