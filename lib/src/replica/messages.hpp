#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/shared_bytes.hpp"
#include "bzmq/time.hpp"
#include "replica/durable.hpp"
#include "replica/entry.hpp"

/// What masters and clones of a store say to each other. Each message is whole in itself: it may be
/// lost, repeated or overtaken on the way. docs/protocol.md specifies the bytes.
namespace bzmq::replica {

// Scoped enumerators shadow nothing, but GCC 12 says that they do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

enum class message_type : std::uint8_t {
    attach = 1,     ///< clone to master: take me on, from here
    welcome = 2,    ///< master to clone: here is how
    log = 3,        ///< master to clones: entries
    chunk = 4,      ///< master to clone: a part of a snapshot
    heartbeat = 5,  ///< master to clones: nothing new
    ack = 6,        ///< clone to master: what has come
    write = 7,      ///< clone to master: commands
    taken = 8,      ///< master to clone: commands that have come
    refuse = 9,     ///< master to clone: no
    detach = 10,    ///< clone to master: goodbye
    closing = 11,   ///< master to clones: goodbye
    claim = 12,     ///< master to master of the same name: which of us?
    failed = 13,    ///< master to clone: commands that had no effect, and are in no log
    ask_vote = 14,  ///< standby to standbys: may I be master?
    vote = 15,      ///< standby to standby: yes or no
    promote = 16,   ///< an operator's endpoint to a standby: become master
};

#pragma GCC diagnostic pop

/// Must these keep their order on their way? Entries and commands that overtake others make holes;
/// all that is said about them may pass, and must not wait behind a large one.
constexpr bool in_order(message_type type) noexcept {
    return type == message_type::log || type == message_type::chunk || type == message_type::write
           || type == message_type::detach || type == message_type::closing;
}
/// Likewise for an encoded message.
[[nodiscard]] inline bool in_order(std::span<const std::byte> message) noexcept {
    return !message.empty() && in_order(static_cast<message_type>(message.front()));
}

/// Ahead of each message's body.
struct message_head {
    message_type type = message_type::attach;
    std::string_view store;  ///< its name
};

struct attach_message {
    writer_id clone;             ///< made anew with each clone
    std::uint64_t attempt = 0;   ///< the clone's count of its attach messages
    endpoint_id store;           ///< of the state held; nil: none
    sequence last = 0;           ///< the state includes this entry
    std::uint64_t chain = 0;     ///< up to and with it
    bool standby = false;        ///< it keeps a durable copy
    sequence stored = 0;         ///< of a standby: on disk up to here
    std::uint64_t epoch = 0;     ///< the newest one heard of
    std::string_view elector;    ///< its name among the electors; empty: it is none
};

/// Commands with these numbers had no effect.
struct failed_commands {
    std::uint64_t first = 1;
    std::uint64_t last = 1;
    ec result = ec::none;
    friend bool operator==(const failed_commands&, const failed_commands&) = default;
};

struct welcome_message {
    writer_id clone;             ///< of the attach message that this answers
    std::uint64_t attempt = 0;   ///< likewise
    std::uint64_t round = 0;     ///< the master's count of what it has so begun to send anybody
    endpoint_id store;
    std::uint64_t epoch = 0;
    sequence from = 0;           ///< the log follows from the entry after this one
    std::uint64_t chain = 0;     ///< up to and with `from`
    sequence committed = 0;      ///< entries up to here may be shown
    bool snapshot = false;       ///< chunks come first
    bool durable = false;        ///< the master keeps its state on disk
    std::int64_t wall = 0;       ///< the master's clock, ns
    std::int64_t heartbeat = 0;  ///< its interval, ns
    std::vector<epoch_start> epochs;
    std::vector<stored_writer> writers;  ///< as of `from`; with a snapshot only
    // Of the clone's own commands, for those whose entries it will not see:
    std::uint64_t number = 0;            ///< the newest one in the log up to `from`
    std::uint64_t results_from = 1;      ///< those from here on were `ec::none` unless listed
    std::vector<failed_commands> failures;
};

struct log_message {
    std::uint64_t epoch = 0;
    sequence first = 1;
    sequence committed = 0;      ///< entries up to here may be shown
    std::int64_t wall = 0;
    std::vector<std::span<const std::byte>> entries;
};

struct chunk_message {
    std::uint64_t epoch = 0;
    std::uint64_t round = 0;     ///< of the welcome message that this follows
    std::uint64_t from = 0;      ///< covers the hashes [from, to)
    std::uint64_t to = 0;        ///< 0: to the end
    sequence at = 0;             ///< the state after this entry
    std::uint64_t total = 0;     ///< values in the store, about
    std::vector<stored_value> values;
};

struct heartbeat_message {
    std::uint64_t epoch = 0;
    sequence last = 0;           ///< the newest entry sent
    sequence committed = 0;
    sequence chained = 0;        ///< some entry, and
    std::uint64_t chain = 0;     ///< the hash up to and with it
    std::int64_t wall = 0;
};

constexpr std::uint64_t cursor_end = ~std::uint64_t{0};

struct ack_message {
    std::uint64_t epoch = 0;
    std::uint64_t round = 0;     ///< of the newest welcome message
    sequence received = 0;       ///< all entries up to here
    sequence stored = 0;         ///< of a standby: those that are on disk
    sequence applied = 0;
    bool gap = false;            ///< send again from received + 1
    bool in_snapshot = false;
    std::uint64_t cursor = 0;    ///< of the snapshot: hashes below have come; `cursor_end`: all
};

/// Without commands: asks what became of `first`.
struct write_message {
    writer_id clone;
    std::uint64_t epoch = 0;     ///< of the welcome message that it follows: what is late is not for
    std::uint64_t round = 0;     ///< a later one
    std::uint64_t done = 0;      ///< those up to here have had their answers
    std::uint64_t first = 1;     ///< number of the first command
    std::vector<std::span<const std::byte>> commands;
};

struct taken_message {
    writer_id clone;
    std::uint64_t epoch = 0;
    std::uint64_t up_to = 0;     ///< commands up to this number have come
    bool gap = false;            ///< send again from up_to + 1
};

struct refuse_message {
    writer_id clone;             ///< nil: any
    ec code = ec::none;
    std::string_view text;
};

struct failed_message {
    writer_id clone;
    std::uint64_t first = 1;     ///< numbers of the commands
    std::uint64_t last = 1;
    ec code = ec::none;
};

struct detach_message {
    writer_id clone;
};

struct claim_message {
    endpoint_id store;
    std::uint64_t epoch = 0;
    sequence last = 0;
};

struct ask_vote_message {
    endpoint_id store;
    bool trial = false;          ///< would you? Nothing is promised
    std::string_view candidate;  ///< its name among the electors
    std::uint64_t epoch = 0;     ///< that it wants to begin
    log_rank rank;               ///< of what it has on disk
};

struct vote_message {
    endpoint_id store;
    bool trial = false;
    bool granted = false;
    std::string_view voter;      ///< its name among the electors
    std::uint64_t epoch = 0;     ///< of the question
    std::uint64_t promised = 0;  ///< the newest epoch that it has heard of
};

std::vector<std::byte> encode(std::string_view store, const attach_message& what);
std::vector<std::byte> encode(std::string_view store, const welcome_message& what);
std::vector<std::byte> encode(std::string_view store, const log_message& what);
std::vector<std::byte> encode(std::string_view store, const chunk_message& what);
std::vector<std::byte> encode(std::string_view store, const heartbeat_message& what);
std::vector<std::byte> encode(std::string_view store, const ack_message& what);
std::vector<std::byte> encode(std::string_view store, const write_message& what);
std::vector<std::byte> encode(std::string_view store, const taken_message& what);
std::vector<std::byte> encode(std::string_view store, const refuse_message& what);
std::vector<std::byte> encode(std::string_view store, const detach_message& what);
std::vector<std::byte> encode(std::string_view store, const failed_message& what);
std::vector<std::byte> encode_closing(std::string_view store);
std::vector<std::byte> encode_promote(std::string_view store);
std::vector<std::byte> encode(std::string_view store, const claim_message& what);
std::vector<std::byte> encode(std::string_view store, const ask_vote_message& what);
std::vector<std::byte> encode(std::string_view store, const vote_message& what);

/// Nothing where the bytes are malformed. The readers of bodies start behind the head, and must find
/// the end. Views hold as long as the bytes do.
std::optional<message_head> read_head(byte_reader& in);
std::optional<attach_message> read_attach(byte_reader& in);
std::optional<welcome_message> read_welcome(byte_reader& in);
std::optional<log_message> read_log(byte_reader& in);
std::optional<chunk_message> read_chunk(byte_reader& in);
std::optional<heartbeat_message> read_heartbeat(byte_reader& in);
std::optional<ack_message> read_ack(byte_reader& in);
std::optional<write_message> read_write(byte_reader& in);
std::optional<taken_message> read_taken(byte_reader& in);
std::optional<refuse_message> read_refuse(byte_reader& in);
std::optional<failed_message> read_failed(byte_reader& in);
std::optional<detach_message> read_detach(byte_reader& in);
std::optional<claim_message> read_claim(byte_reader& in);
std::optional<ask_vote_message> read_ask_vote(byte_reader& in);
std::optional<vote_message> read_vote(byte_reader& in);

}  // namespace bzmq::replica
