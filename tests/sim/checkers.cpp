#include "sim/checkers.hpp"

#include "base/bytes.hpp"
#include "wire/frames.hpp"
#include "wire/records.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bzmq::sim {

using namespace std::chrono_literals;

constexpr std::size_t failures_max = 10;

// -- Identities -----------------------------------------------------------------------------------

std::vector<std::byte> encode(const identity& who, std::size_t padding) {
    std::vector<std::byte> out;
    byte_writer writer{out};
    writer.fixed(who.origin);
    writer.u8(static_cast<std::uint8_t>(who.mode));
    writer.fixed(who.number);
    writer.fixed(who.destination);
    out.resize(out.size() + padding, std::byte{0x5a});
    return out;
}

std::optional<identity> decode(std::span<const std::byte> payload) {
    byte_reader reader{payload};
    identity out;
    out.origin = reader.fixed<life_index>();
    out.mode = static_cast<delivery_mode>(reader.u8());
    out.number = reader.fixed<std::uint64_t>();
    out.destination = reader.fixed<life_index>();
    if (reader.failed() || out.number == 0) {
        return std::nullopt;
    }
    return out;
}

// -- The ledger -----------------------------------------------------------------------------------

std::string ledger::name(life_index life) const {
    if (life == no_life || life >= net_.lives()) {
        return "nobody";
    }
    return fmt::format("n{}#{}", net_.home_of(life), life);
}

void ledger::fail(std::string what) {
    if (failures_.size() < failures_max) {
        failures_.push_back(fmt::format("at {:.6f} s: {}",
                                        std::chrono::duration<double>(net_.now()).count(), what));
        net_.say("FAILURE " + failures_.back());
    }
}

identity ledger::next(life_index origin, delivery_mode mode) {
    auto& notes = books_[origin].streams[static_cast<std::size_t>(mode)].notes;
    notes.emplace_back();
    return {origin, mode, notes.size(), no_life};
}

void ledger::prepare(const identity& who, const std::string& topic) {
    auto& note =
        books_[who.origin].streams[static_cast<std::size_t>(who.mode)].notes[who.number - 1];
    note.topic = topic;
    note.at = net_.now();
    note.issued = true;
    note.due.clear();
    const auto home = net_.home_of(who.origin);
    auto& hub = net_.hub_of(home);
    const auto wants = [&](node_index at) {
        const auto& all = net_.subscribers(at);
        return std::any_of(all.begin(), all.end(),
                           [&](const auto& one) { return matches(one.second.prefixes, topic); });
    };
    const bool must = who.mode == delivery_mode::reliable || calm_;
    for (node_index at = 0; at < net_.size(); ++at) {
        if (!net_.alive(at) || !wants(at)) {
            continue;
        }
        const auto life = net_.life_of(at);
        if (who.destination != no_life) {
            if (life == who.destination && must) {
                note.due.push_back(life);
            }
        } else if (at == home) {
            if (net_.options_of(at).local_delivery) {
                note.due.push_back(life);
            }
        } else if (must
                   && (hub.reachable(net_.id_of(life))
                       || (who.mode == delivery_mode::reliable && lost_of_late(who.origin, life)))
                   && matches(hub.filter_of(net_.id_of(life)), topic)) {
            note.due.push_back(life);
        }
    }
    outstanding_ += note.due.size();
    ++prepared_;
}

/// Reliable streams wait for the return of whom they have lost.
bool ledger::lost_of_late(life_index origin, life_index receiver) const {
    const auto at = books_[origin].sights.find(receiver);
    return at != books_[origin].sights.end() && at->second.lost_at != never
           && net_.now() - at->second.lost_at < net_.options_of(net_.home_of(origin)).reliable_hold;
}

void ledger::take_back(const identity& who) {
    auto& note =
        books_[who.origin].streams[static_cast<std::size_t>(who.mode)].notes[who.number - 1];
    outstanding_ -= note.due.size();
    note.due.clear();
    note.issued = false;
    --prepared_;
}

template <class predicate>
void ledger::excuse(life_index origin, life_index receiver, predicate&& keep) {
    for (life_index from = 0; from < books_.size(); ++from) {
        if (origin != no_life && from != origin) {
            continue;
        }
        for (auto& stream : books_[from].streams) {
            while (stream.first_open < stream.notes.size() && stream.notes[stream.first_open].issued
                   && stream.notes[stream.first_open].due.empty()) {
                ++stream.first_open;
            }
            for (auto i = stream.first_open; i < stream.notes.size(); ++i) {
                auto& note = stream.notes[i];
                outstanding_ -= std::erase_if(note.due, [&](life_index who) {
                    return (receiver == no_life || who == receiver) && !keep(note);
                });
            }
        }
    }
}

void ledger::filter_changed(node_index at) {
    const auto life = net_.life_of(at);
    excuse(no_life, life, [&](const message_note& one) {
        const auto& all = net_.subscribers(at);
        return std::any_of(all.begin(), all.end(), [&](const auto& subscriber) {
            return matches(subscriber.second.prefixes, one.topic);
        });
    });
}

void ledger::excuse_cut_off() {
    for (life_index from = 0; from < books_.size(); ++from) {
        if (!net_.is_current(from)) {
            continue;
        }
        const auto hold = net_.options_of(net_.home_of(from)).reliable_hold;
        for (const auto& [to, sight] : books_[from].sights) {
            if (sight.lost_at != never && net_.now() - sight.lost_at > hold) {
                excuse(from, to, [](const message_note&) { return false; });
            }
        }
    }
}

void ledger::started(life_index life) {
    books_.resize(std::max<std::size_t>(books_.size(), life + 1));
}

void ledger::ended(life_index life) {
    excuse(life, no_life, [](const message_note&) { return false; });
    excuse(no_life, life, [](const message_note&) { return false; });
}

void ledger::delivered(life_index life, std::span<const node::subscriber_id> to,
                       const message_batch& batch) {
    wire::record_cursor cursor{batch.records.span()};
    wire::record record;
    std::uint32_t count = 0;
    std::vector<node::subscriber_id> wanted;
    while (cursor.next(record)) {
        ++count;
        check_record(life, to, batch, record.topic, record.payload, wanted);
    }
    if (cursor.malformed() || count != batch.count || count == 0) {
        fail(fmt::format("{} got a batch of {} records that holds {}", name(life), batch.count,
                         count));
    }
    std::vector<node::subscriber_id> got{to.begin(), to.end()};
    std::sort(got.begin(), got.end());
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    if (got != wanted) {
        fail(fmt::format("{} handed a batch to subscribers {}, but {} match", name(life), got,
                         wanted));
    }
}

void ledger::check_record(life_index life, std::span<const node::subscriber_id> to,
                          const message_batch& batch, std::string_view topic,
                          std::span<const std::byte> payload,
                          std::vector<node::subscriber_id>& wanted) {
    const auto who = decode(payload);
    if (!who || who->origin >= books_.size()) {
        fail(fmt::format("{} got a payload that nobody published", name(life)));
        return;
    }
    auto& notes = books_[who->origin].streams[static_cast<std::size_t>(who->mode)].notes;
    const auto what = fmt::format("{} {} {} of {}", topic,
                                  who->mode == delivery_mode::reliable ? "reliable" : "best-effort",
                                  who->number, name(who->origin));
    if (who->number > notes.size() || !notes[who->number - 1].issued
        || notes[who->number - 1].topic != topic) {
        fail(fmt::format("{} got {}, which was not published", name(life), what));
        return;
    }
    if (net_.id_of(who->origin) != batch.origin || batch.mode != who->mode) {
        fail(fmt::format("{} got {} with another origin or mode", name(life), what));
    }
    if (who->destination != no_life && who->destination != life) {
        fail(fmt::format("{} got {}, which was for {} only", name(life), what,
                         name(who->destination)));
    }
    if ((batch.hops == 0) != (who->origin == life)) {
        fail(fmt::format("{} got {} over {} links", name(life), what, batch.hops));
    }
    if (who->origin == life && !net_.options_of(net_.home_of(life)).local_delivery) {
        fail(fmt::format("{} got {}, its own message", name(life), what));
    }
    check_data_origin(life, who->origin, batch);
    auto& book = books_[life];
    const auto& subscribers = net_.subscribers(net_.home_of(life));
    for (const auto& [id, options] : subscribers) {
        if (matches(options.prefixes, topic)) {
            wanted.push_back(id);
        }
    }
    bool seen = false;
    for (const auto id : to) {
        const auto subscriber = subscribers.find(id);
        if (subscriber == subscribers.end()) {
            fail(fmt::format("{} delivers {} to subscriber {}, which is not there", name(life),
                             what, id));
            continue;
        }
        if (!matches(subscriber->second.prefixes, topic)) {
            continue;  // The shell filters record by record.
        }
        seen = true;
        auto& last = book.last[std::uint64_t{id} << 32 | std::uint64_t{who->origin} << 1
                               | static_cast<std::uint64_t>(who->mode)];
        if (who->number == last) {
            fail(fmt::format("{} got {} twice", name(life), what));
        } else if (who->number < last) {
            fail(fmt::format("{} got {} after {}", name(life), what, last));
        }
        last = std::max(last, who->number);
    }
    if (seen) {
        ++deliveries_;
        outstanding_ -= std::erase(notes[who->number - 1].due, life);
    }
}

void ledger::check_data_origin(life_index life, life_index origin, const message_batch& batch) {
    if (origin == life) {
        return;
    }
    // A relay that repairs a tree may lead it back over a link that it crossed before.
    if (batch.hops > wire::hops_max) {
        fail(fmt::format("{} got data of {} over {} links", name(life), name(origin), batch.hops));
    }
    if (!books_[life].sights[origin].discovered) {
        fail(fmt::format("{} got data of {} while that is not within its reach", name(life),
                         name(origin)));
    }
}

void ledger::notified(life_index life, const status_variant& what) {
    if (!is<status>(what)) {
        return;
    }
    const auto& news = get<status>(what);
    const auto about = net_.find_life(news.context().node);
    if (about == no_life || about == life) {
        fail(fmt::format("{} notifies {} about nobody", name(life), to_string(news)));
        return;
    }
    auto& book = books_[life];
    ++book.notified[{news.code(), about}];
    auto& sight = book.sights[about];
    const auto out_of_order = [&](bool wrong) {
        if (wrong) {
            fail(fmt::format("{} notifies {} of {} although discovered={} peered={}", name(life),
                             to_string(news.code()), name(about), sight.discovered, sight.peered));
        }
    };
    switch (news.code()) {
        case sc::endpoint_discovered:
            out_of_order(sight.discovered);
            sight.discovered = true;
            // Reliable streams last over a gap shorter than `reliable_hold` only.
            if (sight.lost_at != never) {
                const auto& options = net_.options_of(net_.home_of(life));
                if (net_.now() - sight.lost_at > options.reliable_hold - 500ms) {
                    const auto before = sight.lost_at;
                    excuse(life, about, [](const message_note&) { return false; });
                    excuse(about, life, [&](const message_note& one) { return one.at > before; });
                }
                sight.lost_at = never;
            }
            break;
        case sc::endpoint_unreachable:
            out_of_order(!sight.discovered || sight.peered);
            sight.discovered = false;
            sight.lost_at = net_.now();
            break;
        case sc::peer_added:
            out_of_order(!sight.discovered || sight.peered);
            sight.peered = true;
            break;
        case sc::peer_removed:
        case sc::peer_lost:
            out_of_order(!sight.peered);
            sight.peered = false;
            break;
        case sc::store_promoted:  // No hub tells of stores.
        case sc::store_stale:
        case sc::store_fresh:
        case sc::unspecified:
            out_of_order(true);
            break;
    }
}

void ledger::turn_ended(life_index life) {
    const auto home = net_.home_of(life);
    const auto& options = net_.options_of(home);
    const auto bytes = net_.hub_of(home).buffered_bytes();
    buffered_high_ = std::max(buffered_high_, bytes);
    // Per possible peer its queue, window and frames; per destination what is retained and its
    // copies in queues; per origin what waits for order; in each the batch that goes over. Then
    // what waits for a path or for its origin.
    constexpr std::size_t overshoot = 64 * 1024;
    const auto each = 2 * options.peer_queue_bytes + 2 * options.link_window_bytes
                      + 4 * options.frame_bytes + 6 * options.reliable_window_bytes + overshoot;
    const auto bound = net_.lives() * each + 2 * options.peer_queue_bytes;
    if (bytes > bound) {
        fail(fmt::format("{} buffers {} bytes, over {}", name(life), bytes, bound));
    }
}

std::vector<std::string> ledger::missing(std::size_t most) const {
    std::vector<std::string> out;
    for (life_index origin = 0; origin < books_.size(); ++origin) {
        for (std::size_t mode = 0; mode < 2; ++mode) {
            const auto& notes = books_[origin].streams[mode].notes;
            for (std::size_t i = 0; i < notes.size() && out.size() < most; ++i) {
                for (const auto receiver : notes[i].due) {
                    out.push_back(fmt::format(
                        "{} never got {} {} {} of {}, published at {:.6f} s", name(receiver),
                        notes[i].topic, mode == 0 ? "best-effort" : "reliable", i + 1, name(origin),
                        std::chrono::duration<double>(notes[i].at).count()));
                }
            }
        }
    }
    return out;
}

unsigned ledger::count(life_index at, sc what, life_index about) const {
    const auto found = books_[at].notified.find({what, about});
    return found == books_[at].notified.end() ? 0 : found->second;
}

}  // namespace bzmq::sim
