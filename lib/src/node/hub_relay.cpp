// One link further: bounds of the queues toward peers, relaying, repair of broken trees.
#include <algorithm>

#include "node/hub_impl.hpp"

namespace bzmq::node {
namespace {

constexpr std::size_t repair_cache_max = 4'096;
// Control sections that wait for one link.
constexpr std::size_t urgent_sections_max = 4'096;
// A section as large as this that was on its way when so many links to a peer broke, one after the
// other, does not get another one.
constexpr std::size_t suspect_bytes_min = 1024 * 1024;
constexpr unsigned broken_links_max = 3;
// What is too big is told of no more often than this, for each peer.
constexpr auto too_big_pause = std::chrono::seconds{1};

std::uint16_t mixed(std::uint16_t tag, const endpoint_id& id) {
    const auto own = static_cast<std::uint16_t>(id.bytes()[0] | id.bytes()[1] << 8);
    return static_cast<std::uint16_t>((tag << 3 | tag >> 13) ^ own);
}

}  // namespace

/// Is the content of a section more than the far end takes? Then it is dropped, and its heads go on
/// alone: the receivers behind that link go over it, and reliable streams acknowledge it, where a
/// section that never came would hold all later ones up. False where there is nothing to go on.
bool hub_impl::make_fit(instant now, link_record& link, routed_section& section) {
    const auto& body = *section.body;
    const auto size = body.payload.size();
    const auto most = link.message_bytes_max;
    const bool broken = broke_links(link.peer, body);
    const auto longest =
        body.is_data() ? wire::section_bytes_max(most) : wire::control_section_bytes_max;
    if (!broken && size <= longest
        && (body.records != 1 || size <= most + wire::record_slack_bytes)) {
        return true;
    }
    const auto lost = std::max<std::uint32_t>(body.records, 1);
    counters_.dropped_too_big += lost;
    link.dropped_messages += lost;
    const auto peer = "\"" + link.peer_name + "\" (" + to_string(link.peer) + ") at " + link.address;
    const auto what = (body.records == 1 ? "a message of " : "messages of ") + std::to_string(size)
                      + " bytes" + (body.records == 1 ? " with its topic" : "");
    tell_too_big(now, link.too_big_told_at,
                 broken ? what + ", with which " + std::to_string(broken_links_max)
                              + " links in a row to " + peer + " broke: dropped"
                        : what + " for " + peer + ", which takes messages of up to "
                              + std::to_string(most) + " bytes: dropped");
    if (!body.is_data()) {
        return false;
    }
    auto heads = std::make_shared<section_body>(body);
    heads->payload = {};
    heads->records = 0;
    section.body = std::move(heads);
    return true;
}

/// Tells of it, but not of each of many.
void hub_impl::tell_too_big(instant now, instant& told_at, std::string text) {
    if (now >= told_at + too_big_pause) {
        told_at = now;
        output_.notify(error{ec::message_too_big, std::move(text)});
    }
}

/// Remembers what was on its way when a link broke. A peer may hang up because of what it is sent,
/// and that must not go on for ever. Only large sections can be what a peer does not take: all
/// others are within what every endpoint does.
void hub_impl::note_break(const link_record& link, std::span<const routed_section> unconfirmed) {
    std::vector<suspect> fresh;
    const auto before = suspects_.find(link.peer);
    for (const auto& section : unconfirmed) {
        const auto& body = *section.body;
        if (!body.is_data() || body.payload.size() <= suspect_bytes_min) {
            continue;
        }
        suspect one{{body.origin, static_cast<delivery_mode>(body.kind())}, body.number, 1};
        if (before != suspects_.end()) {
            for (const auto& old : before->second) {
                if (old.stream == one.stream && old.number == one.number) {
                    one.breaks = old.breaks + 1;
                }
            }
        }
        fresh.push_back(one);
    }
    if (!fresh.empty()) {
        suspects_[link.peer] = std::move(fresh);
    } else if (before != suspects_.end()) {
        suspects_.erase(before);
    }
}

bool hub_impl::broke_links(const endpoint_id& peer, const section_body& body) const {
    if (suspects_.empty() || !body.is_data() || body.payload.size() <= suspect_bytes_min) {
        return false;
    }
    const auto at = suspects_.find(peer);
    const stream_key stream{body.origin, static_cast<delivery_mode>(body.kind())};
    return at != suspects_.end()
           && std::any_of(at->second.begin(), at->second.end(), [&](const suspect& one) {
                  return one.stream == stream && one.number == body.number
                         && one.breaks >= broken_links_max;
              });
}

void hub_impl::send_on(instant now, link_record& link, routed_section section, bool local) {
    if (link.rules && !make_permitted(now, link, section, false)) {
        return;
    }
    if (!make_fit(now, link, section)) {
        return;
    }
    auto& channel = *link.channel;
    const auto count = section.body->records;
    if (!section.body->is_data()) {
        const bool bulk = channel.goes_bulk(section);
        const auto sections = bulk ? channel.bulk_sections() : channel.urgent_sections();
        const auto bytes = bulk ? channel.bulk_bytes() : channel.urgent_bytes();
        if (!local && sections >= urgent_sections_max) {
            return;  // Whoever sent it asks or tells again.
        }
        if (bytes >= link.queue_bytes_max) {
            ++counters_.dropped_store;  // Only stores can make as much; they send again.
            return;
        }
    } else if (section.body->kind() == wire::section_kind::reliable) {
        // On a slow way origins repeat what has not been lost: copies must not fill that way.
        if (channel.holds(section)) {
            ++counters_.spared_copies;
            return;
        }
        // What its origin sends is bounded by a window for each receiver.
        if (!local && at_bound(link, 2)) {
            link.dropped_messages += count;
            counters_.dropped_overflow += count;
            return;
        }
    } else if (at_bound(link) && !(local && link.overflow == overflow_policy::block)) {
        switch (link.overflow) {
            case overflow_policy::drop_oldest: {
                const auto size = section.size();
                const auto dropped = channel.drop_oldest(
                    link.queue_bytes_max > size ? link.queue_bytes_max - size : 0,
                    link.queue_messages_max > count ? link.queue_messages_max - count : 0);
                link.dropped_messages += dropped;
                counters_.dropped_overflow += dropped;
                break;
            }
            case overflow_policy::disconnect:
                link.cut_off = true;
                refuse(now, link, ec::queue_full, "its queue is full");
                counters_.dropped_overflow += count;
                return;
            default:  // A relay never holds up others' traffic: it drops, also under `block`.
                link.dropped_messages += count;
                counters_.dropped_overflow += count;
                return;
        }
    }
    channel.push(now, std::move(section));
    link.queue_bytes_high = std::max(link.queue_bytes_high, channel.queued_bytes());
}

void hub_impl::section_received(link_record& link,
                                const std::shared_ptr<const incoming_tree>& tree,
                                routed_section section) {
    if (link.ended) {
        return;  // A section before it in the same frame ended the link; the peer reroutes the rest.
    }
    const auto now = now_;
    if (section.hops >= wire::hops_max) {
        ++counters_.malformed;
        return;
    }
    ++section.hops;
    if (section.body->origin == options_.self && tree->deliver_here) {
        ++counters_.malformed;  // A repaired tree may lead back through us, but not to us.
        return;
    }
    if (link.rules && !make_permitted(now, link, section, true)) {
        return;
    }
    if (paths_dirty_) {
        // Whoever is about to speak must have been announced.
        const auto index = db_.find(section.body->origin);
        if (!link.announced || !index || !paths_.reachable(*index)) {
            compute_paths(now);
        }
    }
    if (section.body->kind() == wire::section_kind::trace) {
        auto traced = std::make_shared<section_body>(*section.body);
        std::vector<std::byte> longer{traced->payload.span().begin(),
                                      traced->payload.span().end()};
        if (longer.size() < 64 * 1024) {
            byte_writer{longer}.id(options_.self);
        }
        traced->payload = shared_bytes::copy_of(longer);
        section.body = std::move(traced);
    }
    if (!tree->children.empty()) {
        const auto tag = mixed(section.path_tag, options_.self);
        ++counters_.relayed;
        for (const auto& child : tree->children) {
            routed_section onward{section.body, child.tree, {}, tag, section.hops};
            if (section.distances.size() == 1) {
                onward.distances = section.distances;
            } else {
                const auto first = section.distances.begin()
                                   + static_cast<std::ptrdiff_t>(child.first_receiver);
                onward.distances.assign(
                    first, first + static_cast<std::ptrdiff_t>(child.receiver_count));
            }
            auto* next = link_to(child.tree->nodes[0].id);
            if (next != nullptr && next != &link) {
                send_on(now, *next, std::move(onward), false);
            } else {
                reroute(now, onward, now + limbo_max);
            }
        }
    }
    if (tree->deliver_here) {
        accept(now, section.body, section.distance(0), section.path_tag, section.hops, link.id);
    }
}

/// Finds new ways to the receivers of a section whose next hop is gone.
void hub_impl::reroute(instant now, const routed_section& section, instant until) {
    if (repairs_.size() >= repair_cache_max) {
        repairs_.clear();
    }
    const auto [at, is_new] = repairs_.try_emplace(section.tree.get());
    if (is_new) {
        auto& fresh = at->second;
        fresh.of = section.tree;
        std::vector<overlay::node_index> wanted;
        std::unordered_map<endpoint_id, std::size_t> position;
        for (std::size_t i = 0; i < section.tree->receivers.size(); ++i) {
            const auto& id = section.tree->receivers[i];
            const auto index = db_.find(id);
            if (index && paths_.reachable(*index) && id != options_.self) {
                wanted.push_back(*index);
                position[id] = i;
            } else {
                fresh.lost.push_back(i);
            }
        }
        std::sort(wanted.begin(), wanted.end());
        for (const auto& part : *branches_for(std::move(wanted))) {
            // The same shape as our own trees, but of the section's origin.
            auto tree = std::make_shared<session::subtree>(*part.tree);
            tree->origin = section.tree->origin;
            repair::part out{part.first_hop, nullptr, {}};
            for (const auto& id : tree->receivers) {
                out.receivers.push_back(position.at(id));
            }
            out.tree = std::move(tree);
            fresh.parts.push_back(std::move(out));
        }
        if (!fresh.lost.empty()) {
            auto tree = std::make_shared<session::subtree>();
            tree->origin = section.tree->origin;
            for (const auto i : fresh.lost) {
                tree->receivers.push_back(section.tree->receivers[i]);
            }
            fresh.lost_tree = std::move(tree);
        }
    }
    const auto plan = at->second;  // A send may end a link and with it change the cache.
    const auto pick = [&](const std::vector<std::size_t>& which) {
        std::vector<std::uint64_t> out;
        for (const auto i : which) {
            out.push_back(section.distance(i));
        }
        collapse(out);
        return out;
    };
    for (const auto& part : plan.parts) {
        if (auto* link = link_to(part.first_hop)) {
            ++counters_.repaired;
            // A path of its own: its tag must differ from that of the broken one.
            send_on(now, *link,
                    {section.body, part.tree, pick(part.receivers),
                     mixed(static_cast<std::uint16_t>(section.path_tag + 1), options_.self),
                     section.hops},
                    false);
        }
    }
    if (plan.lost.empty()) {
        return;
    }
    if (section.body->kind() == wire::section_kind::best_effort && now < until
        && limbo_bytes_ < options_.peer_queue_bytes) {
        limbo_bytes_ += section.size();
        limbo_.push_back({{section.body, plan.lost_tree, pick(plan.lost), section.path_tag,
                           section.hops},
                          until});
    } else if (section.body->kind() == wire::section_kind::best_effort) {
        (now < until ? counters_.dropped_no_path : counters_.dropped_overflow) +=
            section.body->records;
    }
}

void hub_impl::retry_limbo(instant now) {
    auto waiting = std::move(limbo_);
    limbo_.clear();
    limbo_bytes_ = 0;
    for (auto& entry : waiting) {
        const bool hope = std::any_of(entry.section.tree->receivers.begin(),
                                      entry.section.tree->receivers.end(), [this](const auto& id) {
                                          const auto index = db_.find(id);
                                          return index && paths_.reachable(*index);
                                      });
        if (now >= entry.until) {
            counters_.dropped_no_path += entry.section.body->records;
        } else if (hope) {
            reroute(now, entry.section, entry.until);
        } else {
            limbo_bytes_ += entry.section.size();
            limbo_.push_back(std::move(entry));
        }
    }
}

}  // namespace bzmq::node
