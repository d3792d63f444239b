// What the key of a peer may not publish, receive or ask of stores does not pass its link.
#include <algorithm>

#include "node/hub_impl.hpp"
#include "wire/records.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

// Who sends what it may not is at fault: told once a second. Who subscribes to more than it may hear
// may do so for good reasons and for ever.
constexpr auto told_of_incoming_pause = 1s;
constexpr auto told_of_outgoing_pause = 60s;
constexpr std::size_t shown_topic_bytes = 100;
constexpr std::size_t shown_key_bytes = 8;

/// What a look at the records of a section has shown.
struct sifted {
    std::uint32_t kept = 0, refused = 0;
    std::size_t kept_bytes = 0;
    std::size_t begin = 0, end = 0;  ///< of what was kept, with what was refused in between
    std::string_view topic;          ///< of the first one that was refused
    bool malformed = false;
};

/// Calls `visit(from, to, topic, allowed)` for each record. All that repeat the topic of one before
/// them fare as it did. So what is kept stays as it is: no record loses the one whose topic it
/// repeats.
template <class Visit>
bool each_record(std::span<const std::byte> records, std::span<const std::string> prefixes,
                 Visit&& visit) {
    wire::record_cursor cursor{records};
    bool allowed = false;
    for (wire::record record; cursor.next(record);) {
        allowed = record.same_topic ? allowed : overlay::matches(prefixes, record.topic);
        if (!visit(static_cast<std::size_t>(record.begin - records.data()),
                   static_cast<std::size_t>(cursor.position() - records.data()), record.topic,
                   allowed)) {
            return true;
        }
    }
    return !cursor.malformed();
}

sifted sift(const session::section_body& body, std::span<const std::string> prefixes) {
    sifted out;
    const bool whole = each_record(
        body.payload.span(), prefixes,
        [&](std::size_t from, std::size_t to, std::string_view topic, bool allowed) {
            if (!allowed) {
                out.topic = out.refused++ == 0 ? topic : out.topic;
                return true;
            }
            out.begin = out.kept++ == 0 ? from : out.begin;
            out.end = to;
            out.kept_bytes += to - from;
            return true;
        });
    out.malformed = !whole || std::uint64_t{out.kept} + out.refused != body.records;
    return out;
}

std::string shown(std::string_view topic) {
    std::string out{topic.substr(0, shown_topic_bytes)};
    std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return topic.size() > shown_topic_bytes ? out + "..." : out;
}

}  // namespace

void hub_impl::set_permissions(permissions rules) {
    permissions_ = std::move(rules);
    for (auto& [id, link] : links_) {
        link->rules = permissions_.of(link->public_key);
    }
}

/// Counts what its key keeps from coming over a link, or going over it, and tells of it.
void hub_impl::note_forbidden(instant now, link_record& link, bool incoming, std::uint32_t count,
                              std::string_view kind, std::string_view what) {
    counters_.dropped_forbidden += count;
    if (!incoming) {
        link.dropped_messages += count;
    }
    auto& quiet_until = incoming ? link.forbidden_in_quiet_until : link.forbidden_out_quiet_until;
    if (now < quiet_until) {
        return;
    }
    quiet_until = now + (incoming ? told_of_incoming_pause : told_of_outgoing_pause);
    output_.notify(error{
        ec::forbidden,
        "\"" + link.peer_name + "\" (" + to_string(link.peer) + ") at " + link.address + ", key "
            + link.public_key.substr(0, shown_key_bytes) + "...: "
            + (incoming ? "from it " : "to it ") + std::to_string(count)
            + (count == 1 ? " message" : " messages") + ", the first " + std::string{kind} + " \""
            + shown(what) + "\", which its permissions do not name: dropped"});
}

/// Takes out of a section what the rules of this link do not let pass. What is left of messages goes
/// on, if only their heads: as in `make_fit`, streams and acknowledgements need those. False where
/// there is nothing to go on.
bool hub_impl::make_permitted(instant now, link_record& link, routed_section& section,
                              bool incoming) {
    const auto rules = link.rules;
    const auto& body = *section.body;
    if (!body.is_data()) {
        const auto store = rules->stores ? wire::store_of(body.payload.span()) : std::nullopt;
        if (!store
            || std::binary_search(rules->stores->begin(), rules->stores->end(), *store)) {
            return true;
        }
        note_forbidden(now, link, incoming, 1, "of the store", *store);
        return false;
    }
    const auto& prefixes = incoming ? rules->publish : rules->subscribe;
    if (!prefixes || (body.payload.empty() && body.records == 0)) {
        return true;
    }
    const auto found = sift(body, *prefixes);
    if (found.malformed) {
        ++counters_.malformed;  // Who cannot read it cannot judge it.
    } else if (found.refused == 0) {
        return true;
    } else {
        note_forbidden(now, link, incoming, found.refused, "on", found.topic);
    }
    auto rest = std::make_shared<section_body>(body);
    rest->records = found.malformed ? 0 : found.kept;
    if (rest->records == 0) {
        rest->payload = {};
    } else if (found.kept_bytes == found.end - found.begin) {
        rest->payload = body.payload.slice(found.begin, found.kept_bytes);
    } else {
        auto block = output_.allocate(found.kept_bytes);
        auto* to = block->data;
        const auto* const begin = to;
        each_record(body.payload.span(), *prefixes,
                    [&](std::size_t first, std::size_t last, std::string_view, bool allowed) {
                        if (allowed) {
                            to = std::copy(body.payload.data() + first,
                                           body.payload.data() + last, to);
                        }
                        return true;
                    });
        rest->payload = {std::move(block), begin, found.kept_bytes};
    }
    section.body = std::move(rest);
    return true;
}

/// May none of these messages of our own go over this link? Then they need no number there: their
/// receivers see no hole, and no reliable stream keeps them.
bool hub_impl::forbids_all(instant now, link_record& link, const section_body& body) {
    const auto rules = link.rules;
    if (!rules || !rules->subscribe) {
        return false;
    }
    std::string_view refused;
    bool any = false;
    each_record(body.payload.span(), *rules->subscribe,
                [&](std::size_t, std::size_t, std::string_view topic, bool allowed) {
                    refused = refused.empty() ? topic : refused;
                    any = allowed;
                    return !allowed;
                });
    if (any) {
        return false;
    }
    note_forbidden(now, link, false, body.records, "on", refused);
    return true;
}

}  // namespace bzmq::node
