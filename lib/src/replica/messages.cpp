#include "replica/messages.hpp"

namespace bzmq::replica {
namespace {

constexpr std::size_t refuse_text_max = 1'024;

struct builder {
    std::vector<std::byte> bytes;
    byte_writer out{bytes};

    builder(message_type type, std::string_view store, std::size_t room = 64) {
        bytes.reserve(room + store.size());
        out.u8(static_cast<std::uint8_t>(type));
        out.string(store);
    }
    void sized(std::span<const std::byte> part) {
        out.varint(part.size());
        out.bytes(part);
    }
    void flag(bool yes) { out.u8(yes ? 1 : 0); }
};

bool flag(byte_reader& in) {
    const auto value = in.u8();
    if (value > 1) {
        in.fail();
    }
    return value == 1;
}

// A count is believed only as far as the bytes behind it can hold that many items.
std::size_t count_of(byte_reader& in, std::size_t bytes_each) {
    const auto count = in.varint();
    if (in.failed() || count > in.remaining() / bytes_each) {
        in.fail();
        return 0;
    }
    return static_cast<std::size_t>(count);
}

template <class T>
std::optional<T> whole(const byte_reader& in, T&& what) {
    if (in.failed() || !in.done()) {
        return std::nullopt;
    }
    return std::forward<T>(what);
}

std::size_t sum(const std::vector<std::span<const std::byte>>& parts) {
    std::size_t bytes = 0;
    for (const auto& each : parts) {
        bytes += each.size() + 4;
    }
    return bytes;
}

void put_parts(builder& to, const std::vector<std::span<const std::byte>>& parts) {
    to.out.varint(parts.size());
    for (const auto& each : parts) {
        to.sized(each);
    }
}

std::vector<std::span<const std::byte>> read_parts(byte_reader& in) {
    std::vector<std::span<const std::byte>> out;
    const auto count = count_of(in, 1);
    out.reserve(count);
    for (std::size_t i = 0; i < count && !in.failed(); ++i) {
        out.push_back(in.bytes(in.varint_up_to(entry_bytes_max)));
    }
    return out;
}

}  // namespace

std::optional<message_head> read_head(byte_reader& in) {
    message_head head;
    head.type = static_cast<message_type>(in.u8());
    head.store = in.string_up_to(store_name_bytes_max);
    if (in.failed() || head.store.empty() || head.type < message_type::attach
        || head.type > message_type::promote) {
        return std::nullopt;
    }
    return head;
}

std::vector<std::byte> encode(std::string_view store, const attach_message& what) {
    builder to{message_type::attach, store};
    to.out.id(what.clone);
    to.out.varint(what.attempt);
    to.out.id(what.store);
    to.out.varint(what.last);
    to.out.fixed(what.chain);
    to.flag(what.standby);
    to.out.varint(what.stored);
    to.out.varint(what.epoch);
    to.out.string(what.elector);
    return std::move(to.bytes);
}

std::optional<attach_message> read_attach(byte_reader& in) {
    attach_message out;
    out.clone = in.id();
    out.attempt = in.varint();
    out.store = in.id();
    out.last = in.varint_up_to(sequence_max);
    out.chain = in.fixed<std::uint64_t>();
    out.standby = flag(in);
    out.stored = in.varint_up_to(sequence_max);
    out.epoch = in.varint();
    out.elector = in.string_up_to(elector_name_bytes_max);
    if (out.clone.is_nil()) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const welcome_message& what) {
    builder to{message_type::welcome, store};
    to.out.id(what.clone);
    to.out.varint(what.attempt);
    to.out.varint(what.round);
    to.out.id(what.store);
    to.out.varint(what.epoch);
    to.out.varint(what.from);
    to.out.fixed(what.chain);
    to.out.varint(what.committed);
    to.flag(what.snapshot);
    to.flag(what.durable);
    to.out.fixed(what.wall);
    to.out.fixed(what.heartbeat);
    to.out.varint(what.epochs.size());
    for (const auto& each : what.epochs) {
        to.out.varint(each.epoch);
        to.out.varint(each.first);
    }
    to.out.varint(what.writers.size());
    for (const auto& each : what.writers) {
        to.out.varint(each.index);
        to.out.id(each.id);
        to.out.varint(each.number);
        to.out.u8(static_cast<std::uint8_t>(each.result));
    }
    to.out.varint(what.number);
    to.out.varint(what.results_from);
    to.out.varint(what.failures.size());
    for (const auto& each : what.failures) {
        to.out.varint(each.first);
        to.out.varint(each.last);
        to.out.u8(static_cast<std::uint8_t>(each.result));
    }
    return std::move(to.bytes);
}

std::optional<welcome_message> read_welcome(byte_reader& in) {
    welcome_message out;
    out.clone = in.id();
    out.attempt = in.varint();
    out.round = in.varint();
    out.store = in.id();
    out.epoch = in.varint();
    out.from = in.varint_up_to(sequence_max);
    out.chain = in.fixed<std::uint64_t>();
    out.committed = in.varint_up_to(sequence_max);
    out.snapshot = flag(in);
    out.durable = flag(in);
    out.wall = in.fixed<std::int64_t>();
    out.heartbeat = in.fixed<std::int64_t>();
    const auto epochs = count_of(in, 2);
    for (std::size_t i = 0; i < epochs && i < epochs_max; ++i) {
        const auto epoch = in.varint();
        out.epochs.push_back({epoch, in.varint_up_to(sequence_max)});
    }
    const auto writers = count_of(in, 19);
    out.writers.reserve(writers);
    for (std::size_t i = 0; i < writers; ++i) {
        stored_writer each;
        each.index = static_cast<writer_index>(in.varint_up_to(writers_max));
        each.id = in.id();
        each.number = in.varint_up_to(sequence_max);
        each.result = static_cast<ec>(in.u8());
        out.writers.push_back(each);
    }
    out.number = in.varint_up_to(sequence_max);
    out.results_from = in.varint_up_to(sequence_max);
    const auto failures = count_of(in, 3);
    out.failures.reserve(failures);
    for (std::size_t i = 0; i < failures; ++i) {
        const auto first = in.varint_up_to(sequence_max);
        const auto last = in.varint_up_to(sequence_max);
        out.failures.push_back({first, last, static_cast<ec>(in.u8())});
        if (last < first) {
            in.fail();
        }
    }
    if (out.store.is_nil() || out.heartbeat < 0) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const log_message& what) {
    builder to{message_type::log, store, 64 + sum(what.entries)};
    to.out.varint(what.epoch);
    to.out.varint(what.first);
    to.out.varint(what.committed);
    to.out.fixed(what.wall);
    put_parts(to, what.entries);
    return std::move(to.bytes);
}

std::optional<log_message> read_log(byte_reader& in) {
    log_message out;
    out.epoch = in.varint();
    out.first = in.varint_up_to(sequence_max);
    out.committed = in.varint_up_to(sequence_max);
    out.wall = in.fixed<std::int64_t>();
    out.entries = read_parts(in);
    if (out.first == 0) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const chunk_message& what) {
    std::size_t room = 96;
    for (const auto& each : what.values) {
        room += each.key.size() + each.value.size() + 24;
    }
    builder to{message_type::chunk, store, room};
    to.out.varint(what.epoch);
    to.out.varint(what.round);
    to.out.fixed(what.from);
    to.out.fixed(what.to);
    to.out.varint(what.at);
    to.out.varint(what.total);
    to.out.varint(what.values.size());
    for (const auto& each : what.values) {
        to.sized(each.key);
        to.sized(each.value);
        to.out.varint(each.revision);
        to.flag(each.expiry != no_expiry);
        if (each.expiry != no_expiry) {
            to.out.fixed<std::int64_t>(each.expiry.time_since_epoch().count());
        }
    }
    return std::move(to.bytes);
}

std::optional<chunk_message> read_chunk(byte_reader& in) {
    chunk_message out;
    out.epoch = in.varint();
    out.round = in.varint();
    out.from = in.fixed<std::uint64_t>();
    out.to = in.fixed<std::uint64_t>();
    out.at = in.varint_up_to(sequence_max);
    out.total = in.varint();
    const auto count = count_of(in, 6);
    out.values.reserve(count);
    for (std::size_t i = 0; i < count && !in.failed(); ++i) {
        stored_value each;
        each.key = in.bytes(in.varint_up_to(key_bytes_max));
        each.value = in.bytes(in.varint_up_to(value_bytes_max));
        each.revision = in.varint_up_to(sequence_max);
        if (flag(in)) {
            each.expiry = timestamp{timespan{in.fixed<std::int64_t>()}};
        }
        if (each.key.empty() || each.value.empty()) {
            return std::nullopt;
        }
        out.values.push_back(each);
    }
    if (out.to != 0 && out.to <= out.from) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const heartbeat_message& what) {
    builder to{message_type::heartbeat, store};
    to.out.varint(what.epoch);
    to.out.varint(what.last);
    to.out.varint(what.committed);
    to.out.varint(what.chained);
    to.out.fixed(what.chain);
    to.out.fixed(what.wall);
    return std::move(to.bytes);
}

std::optional<heartbeat_message> read_heartbeat(byte_reader& in) {
    heartbeat_message out;
    out.epoch = in.varint();
    out.last = in.varint_up_to(sequence_max);
    out.committed = in.varint_up_to(sequence_max);
    out.chained = in.varint_up_to(sequence_max);
    out.chain = in.fixed<std::uint64_t>();
    out.wall = in.fixed<std::int64_t>();
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const ack_message& what) {
    builder to{message_type::ack, store};
    to.out.varint(what.epoch);
    to.out.varint(what.round);
    to.out.varint(what.received);
    to.out.varint(what.stored);
    to.out.varint(what.applied);
    to.flag(what.gap);
    to.flag(what.in_snapshot);
    to.out.fixed(what.cursor);
    return std::move(to.bytes);
}

std::optional<ack_message> read_ack(byte_reader& in) {
    ack_message out;
    out.epoch = in.varint();
    out.round = in.varint();
    out.received = in.varint_up_to(sequence_max);
    out.stored = in.varint_up_to(sequence_max);
    out.applied = in.varint_up_to(sequence_max);
    out.gap = flag(in);
    out.in_snapshot = flag(in);
    out.cursor = in.fixed<std::uint64_t>();
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const write_message& what) {
    builder to{message_type::write, store, 64 + sum(what.commands)};
    to.out.id(what.clone);
    to.out.varint(what.epoch);
    to.out.varint(what.round);
    to.out.varint(what.done);
    to.out.varint(what.first);
    put_parts(to, what.commands);
    return std::move(to.bytes);
}

std::optional<write_message> read_write(byte_reader& in) {
    write_message out;
    out.clone = in.id();
    out.epoch = in.varint();
    out.round = in.varint();
    out.done = in.varint_up_to(sequence_max);
    out.first = in.varint_up_to(sequence_max);
    out.commands = read_parts(in);
    if (out.clone.is_nil() || out.first == 0) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const taken_message& what) {
    builder to{message_type::taken, store};
    to.out.id(what.clone);
    to.out.varint(what.epoch);
    to.out.varint(what.up_to);
    to.flag(what.gap);
    return std::move(to.bytes);
}

std::optional<taken_message> read_taken(byte_reader& in) {
    taken_message out;
    out.clone = in.id();
    out.epoch = in.varint();
    out.up_to = in.varint_up_to(sequence_max);
    out.gap = flag(in);
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const refuse_message& what) {
    builder to{message_type::refuse, store};
    to.out.id(what.clone);
    to.out.u8(static_cast<std::uint8_t>(what.code));
    to.out.string(what.text.substr(0, refuse_text_max));
    return std::move(to.bytes);
}

std::optional<refuse_message> read_refuse(byte_reader& in) {
    refuse_message out;
    out.clone = in.id();
    out.code = static_cast<ec>(in.u8());
    out.text = in.string_up_to(refuse_text_max);
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const failed_message& what) {
    builder to{message_type::failed, store};
    to.out.id(what.clone);
    to.out.varint(what.first);
    to.out.varint(what.last);
    to.out.u8(static_cast<std::uint8_t>(what.code));
    return std::move(to.bytes);
}

std::optional<failed_message> read_failed(byte_reader& in) {
    failed_message out;
    out.clone = in.id();
    out.first = in.varint_up_to(sequence_max);
    out.last = in.varint_up_to(sequence_max);
    out.code = static_cast<ec>(in.u8());
    if (out.last < out.first) {
        return std::nullopt;
    }
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const detach_message& what) {
    builder to{message_type::detach, store};
    to.out.id(what.clone);
    return std::move(to.bytes);
}

std::optional<detach_message> read_detach(byte_reader& in) {
    detach_message out;
    out.clone = in.id();
    return whole(in, std::move(out));
}

std::vector<std::byte> encode_closing(std::string_view store) {
    return std::move(builder{message_type::closing, store}.bytes);
}

std::vector<std::byte> encode_promote(std::string_view store) {
    return std::move(builder{message_type::promote, store}.bytes);
}

std::vector<std::byte> encode(std::string_view store, const claim_message& what) {
    builder to{message_type::claim, store};
    to.out.id(what.store);
    to.out.varint(what.epoch);
    to.out.varint(what.last);
    return std::move(to.bytes);
}

std::optional<claim_message> read_claim(byte_reader& in) {
    claim_message out;
    out.store = in.id();
    out.epoch = in.varint();
    out.last = in.varint_up_to(sequence_max);
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const ask_vote_message& what) {
    builder to{message_type::ask_vote, store};
    to.out.id(what.store);
    to.flag(what.trial);
    to.out.string(what.candidate);
    to.out.varint(what.epoch);
    to.out.varint(what.rank.epoch);
    to.out.varint(what.rank.last);
    return std::move(to.bytes);
}

std::optional<ask_vote_message> read_ask_vote(byte_reader& in) {
    ask_vote_message out;
    out.store = in.id();
    out.trial = flag(in);
    out.candidate = in.string_up_to(elector_name_bytes_max);
    out.epoch = in.varint();
    out.rank.epoch = in.varint();
    out.rank.last = in.varint_up_to(sequence_max);
    return whole(in, std::move(out));
}

std::vector<std::byte> encode(std::string_view store, const vote_message& what) {
    builder to{message_type::vote, store};
    to.out.id(what.store);
    to.flag(what.trial);
    to.flag(what.granted);
    to.out.string(what.voter);
    to.out.varint(what.epoch);
    to.out.varint(what.promised);
    return std::move(to.bytes);
}

std::optional<vote_message> read_vote(byte_reader& in) {
    vote_message out;
    out.store = in.id();
    out.trial = flag(in);
    out.granted = flag(in);
    out.voter = in.string_up_to(elector_name_bytes_max);
    out.epoch = in.varint();
    out.promised = in.varint();
    return whole(in, std::move(out));
}

}  // namespace bzmq::replica
