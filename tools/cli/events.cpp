#include "events.hpp"

#include "output.hpp"

namespace bzmq::cli {

event_line& event_line::field(std::string_view name, std::string_view value) {
    if (json_) {
        text_ += text_.empty() ? "\"" : ",\"";
        text_ += name;
        text_ += "\":";
        append_json_string(text_, value);
    } else if (!value.empty()) {
        if (!text_.empty()) {
            text_ += ' ';
        }
        text_ += value;
    }
    return *this;
}

event_line describe(event_line line, const status_variant& news) {
    if (const auto* failure = get_if<error>(&news)) {
        return line.field("event", "error")
            .field("code", to_string(failure->code()))
            .field("message", failure->message());
    }
    const auto& what = get<status>(news);
    const auto& whom = what.context();
    return line.field("event", to_string(what.code()))
        .field("id", to_string(whom.node))
        .field("name", whom.name)
        .field("address", whom.address)
        .field("message", what.message());
}

expected<void> start_peerings(endpoint& node, const std::vector<peer_options>& peers) {
    for (const auto& peer : peers) {
        peering_options how;
        how.server_key = peer.server_key;
        how.retry = peer.retry;
        if (const auto begun = node.peer_url_nosync(peer.url, how); !begun) {
            return tl::unexpected{begun.error()};
        }
    }
    return {};
}

}  // namespace bzmq::cli
