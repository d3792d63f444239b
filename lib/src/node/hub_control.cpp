// Messages between two endpoints of the overlay: acknowledgements, pings, filter queries.
#include <algorithm>
#include <cstring>

#include "node/hub_impl.hpp"

namespace bzmq::node {
namespace {

using namespace std::chrono_literals;

constexpr auto query_pause = 50ms;
constexpr std::size_t path_max = wire::hops_max + 1;

}  // namespace

void hub_impl::send_control(instant now, const endpoint_id& to, wire::section_kind kind,
                            std::vector<std::byte> payload) {
    const route way{branches_to(to), {}, {}};
    if (!way.branches->empty()) {
        originate(now, timestamp{}, static_cast<std::uint8_t>(kind), way,
                  shared_bytes::copy_of(payload), 0);
    }
}

void hub_impl::send_to_stores(instant now, std::span<const endpoint_id> to,
                              std::span<const std::byte> message, bool in_order) {
    compute_paths_if_due(now);
    receivers_scratch_.clear();
    for (const auto& id : to) {
        const auto index = db_.find(id);
        if (index && paths_.reachable(*index)) {
            receivers_scratch_.push_back(*index);
        }
    }
    if (receivers_scratch_.empty()) {
        return;
    }
    std::sort(receivers_scratch_.begin(), receivers_scratch_.end());
    auto block = output_.allocate(message.size() + 1);
    block->data[0] = static_cast<std::byte>(wire::control_type::store);
    std::memcpy(block->data + 1, message.data(), message.size());
    const auto* data = block->data;
    const route way{branches_for(receivers_scratch_), {}, {}};
    const auto kind = static_cast<std::uint8_t>(wire::section_kind::control);
    originate(now, timestamp{},
              in_order ? static_cast<std::uint8_t>(kind | wire::section_bulk) : kind, way,
              {std::move(block), data, message.size() + 1}, 0);
}

void hub_impl::handle_control(instant now, const section_body& body) {
    byte_reader in{body.payload.span()};
    switch (static_cast<wire::control_type>(in.u8())) {
        case wire::control_type::stream_ack: {
            wire::stream_ack ack;
            ack.received = in.varint();
            ack.consumed = in.varint();
            ack.gap = in.u8() != 0;
            if (!in.failed()) {
                handle_stream_ack(now, body.origin, ack);
                return;
            }
            break;
        }
        case wire::control_type::ack_query: {
            const stream_key key{body.origin, delivery_mode::reliable};
            if (const auto at = incoming_.find(key); at != incoming_.end()) {
                send_stream_ack(now, key, at->second);
            }
            return;
        }
        case wire::control_type::ping: {
            // The answer carries the question, and with it the path that the question took.
            std::vector<std::byte> answer{body.payload.span().begin(), body.payload.span().end()};
            answer[0] = static_cast<std::byte>(wire::control_type::pong);
            send_control(now, body.origin, wire::section_kind::control, std::move(answer));
            return;
        }
        case wire::control_type::pong: {
            const auto request = in.fixed<std::uint64_t>();
            const auto clock = in.fixed<std::uint64_t>();
            std::vector<endpoint_id> path;
            while (!in.done() && path.size() < path_max) {
                path.push_back(in.id());
            }
            if (!in.failed()) {
                // Unsigned: who answers may have made the clock up.
                const auto passed = static_cast<std::uint64_t>(now.count()) - clock;
                output_.pong(request, instant{static_cast<std::int64_t>(passed)}, std::move(path));
                return;
            }
            break;
        }
        case wire::control_type::filter_query: {
            const auto request = in.fixed<std::uint64_t>();
            const auto index = db_.find(body.origin);
            std::vector<std::byte> answer;
            byte_writer out{answer};
            out.u8(static_cast<std::uint8_t>(wire::control_type::filter_answer));
            out.fixed(request);
            out.varint(index ? db_.filter_sequence(*index) : 0);
            if (!in.failed()) {
                send_control(now, body.origin, wire::section_kind::control, std::move(answer));
                return;
            }
            break;
        }
        case wire::control_type::filter_answer: {
            const auto request = in.fixed<std::uint64_t>();
            const auto sequence = in.varint();
            if (in.failed()) {
                break;
            }
            const auto at = queries_.find(request);
            if (at != queries_.end() && sequence >= at->second.sequence) {
                at->second.waiting_for.erase(body.origin);
                if (at->second.waiting_for.empty()) {
                    queries_.erase(at);
                    output_.filter_confirmed(request);
                }
            }
            return;
        }
        case wire::control_type::store:
            output_.store_message(body.origin, body.payload.slice(1, body.payload.size() - 1));
            return;
    }
    ++counters_.malformed;
}

void hub_impl::ping(instant now, request_id request, const endpoint_id& destination) {
    if (destination == options_.self) {
        output_.pong(request, 0ns, {});
        return;
    }
    compute_paths_if_due(now);
    std::vector<std::byte> payload;
    byte_writer out{payload};
    out.u8(static_cast<std::uint8_t>(wire::control_type::ping));
    out.fixed(request);
    out.fixed(static_cast<std::uint64_t>(now.count()));
    send_control(now, destination, wire::section_kind::trace, std::move(payload));
}

void hub_impl::confirm_filter(instant now, request_id request) {
    compute_paths(now);
    filter_query_state query;
    query.sequence = own_filter_.sequence;
    for (const auto index : db_.connected_nodes()) {
        if (index != db_.self_index() && paths_.reachable(index)) {
            query.waiting_for.insert(db_.id_of(index));
        }
    }
    if (query.waiting_for.empty()) {
        output_.filter_confirmed(request);
        return;
    }
    ask_filters(now, request, query);
    queries_.emplace(request, std::move(query));
}

void hub_impl::ask_filters(instant now, request_id request, filter_query_state& query) {
    query.ask_at = now + query_pause;
    for (const auto& id : query.waiting_for) {
        std::vector<std::byte> payload;
        byte_writer out{payload};
        out.u8(static_cast<std::uint8_t>(wire::control_type::filter_query));
        out.fixed(request);
        send_control(now, id, wire::section_kind::control, std::move(payload));
    }
}

void hub_impl::tick_queries(instant now) {
    for (auto at = queries_.begin(); at != queries_.end();) {
        auto& query = at->second;
        if (now >= query.ask_at) {
            std::erase_if(query.waiting_for, [this](const endpoint_id& id) {
                const auto index = db_.find(id);
                return !index || !paths_.reachable(*index);
            });
            if (query.waiting_for.empty()) {
                const auto request = at->first;
                at = queries_.erase(at);
                output_.filter_confirmed(request);
                continue;
            }
            ask_filters(now, at->first, query);
        }
        ++at;
    }
}

}  // namespace bzmq::node
