#include <fmt/format.h>

#include "replica/messages.hpp"
#include "sim/stores_world.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace replica;

std::string body(message_type type, byte_reader& in) {
    switch (type) {
        case message_type::attach:
            if (const auto what = read_attach(in)) {
                return fmt::format("attach {} last {} stored {} epoch {:x}", what->attempt, what->last,
                                   what->stored, what->epoch);
            }
            break;
        case message_type::welcome:
            if (const auto what = read_welcome(in)) {
                return fmt::format("welcome {} round {} epoch {:x} from {} committed {}{}",
                                   what->attempt, what->round, what->epoch, what->from,
                                   what->committed, what->snapshot ? " snapshot" : "");
            }
            break;
        case message_type::log:
            if (const auto what = read_log(in)) {
                return fmt::format("log {}+{} committed {}", what->first, what->entries.size(),
                                   what->committed);
            }
            break;
        case message_type::chunk:
            if (const auto what = read_chunk(in)) {
                return fmt::format("chunk {:x}..{:x} of {} at {}", what->from >> 48, what->to >> 48,
                                   what->values.size(), what->at);
            }
            break;
        case message_type::heartbeat:
            if (const auto what = read_heartbeat(in)) {
                return fmt::format("heartbeat last {} committed {}", what->last, what->committed);
            }
            break;
        case message_type::ack:
            if (const auto what = read_ack(in)) {
                return fmt::format("ack received {} stored {} applied {}{}{}", what->received,
                                   what->stored, what->applied, what->gap ? " gap" : "",
                                   what->in_snapshot ? fmt::format(" cursor {:x}", what->cursor >> 48)
                                                     : "");
            }
            break;
        case message_type::write:
            if (const auto what = read_write(in)) {
                return fmt::format("write {}+{} done {}", what->first, what->commands.size(),
                                   what->done);
            }
            break;
        case message_type::taken:
            if (const auto what = read_taken(in)) {
                return fmt::format("taken {}{}", what->up_to, what->gap ? " gap" : "");
            }
            break;
        case message_type::refuse:
            if (const auto what = read_refuse(in)) {
                return fmt::format("refuse {}", bzmq::to_string(what->code));
            }
            break;
        case message_type::failed:
            if (const auto what = read_failed(in)) {
                return fmt::format("failed {}..{}", what->first, what->last);
            }
            break;
        case message_type::detach:
            return "detach";
        case message_type::closing:
            return "closing";
        case message_type::claim:
            if (const auto what = read_claim(in)) {
                return fmt::format("claim epoch {:x} last {}", what->epoch, what->last);
            }
            break;
        case message_type::ask_vote:
            if (const auto what = read_ask_vote(in)) {
                return fmt::format("{} asks for epoch {:x}{}, has {:x}/{}", what->candidate,
                                   what->epoch, what->trial ? " on trial" : "", what->rank.epoch,
                                   what->rank.last);
            }
            break;
        case message_type::promote:
            return "promote";
        case message_type::vote:
            if (const auto what = read_vote(in)) {
                return fmt::format("{} says {} to epoch {:x}{}, promised {:x}", what->voter,
                                   what->granted ? "yes" : "no", what->epoch,
                                   what->trial ? " on trial" : "", what->promised);
            }
            break;
    }
    return "malformed";
}

}  // namespace

std::string describe_entry(std::span<const std::byte> entry) {
    entry_reader in{entry};
    auto out = fmt::format("writer {} number {}", in.head().writer, in.head().number);
    std::size_t changes = 0;
    for (change each; in.next(each); ++changes) {
        if (each.kind >= change_kind::open_writer) {
            out += fmt::format(" {} {}", each.kind == change_kind::open_writer ? "opens" : "closes",
                               each.writer);
        }
    }
    return fmt::format("{}, {} changes", out, changes);
}

std::string describe(std::span<const std::byte> message) {
    byte_reader in{message};
    const auto head = read_head(in);
    return head ? fmt::format("{}: {}", head->store, body(head->type, in)) : "noise";
}

}  // namespace bzmq::sim::stores
