#include "request/envelope.hpp"

#include <algorithm>
#include <utility>

#include "bzmq/request.hpp"

namespace bzmq {

std::string request_topic(std::string_view topic) {
    std::string out{request_wire::requests_prefix};
    if (!topic.starts_with('/')) {
        out += '/';
    }
    out += topic;
    if (!out.ends_with('/')) {
        out += '/';
    }
    return out;
}

namespace request_wire {
namespace {

constexpr count version = 1;

unexpected wrong() {
    return fail(ec::invalid_data, "expected a request's message, (1, kind, id, ...)");
}

/// The parts behind the id.
bool read_rest(vector& parts, envelope& out) {
    const auto rest = parts.size() - 3;
    switch (out.what) {
        case kind::cancel:
        case kind::end:
            return rest == 0;
        case kind::more:
        case kind::last:
            if (rest != 1) {
                return false;
            }
            out.value = std::move(parts[3]);
            return true;
        case kind::ask:
            if (rest != 2 || !is<timespan>(parts[3])) {
                return false;
            }
            out.timeout = get<timespan>(parts[3]);
            out.value = std::move(parts[4]);
            return true;
        case kind::failed:
            break;
    }
    if (rest != 2 || !is<std::string>(parts[3]) || !is<std::string>(parts[4])) {
        return false;
    }
    const auto code = ec_from_string(get<std::string>(parts[3]));
    // An error that is none would pass for success.
    out.why = {code == ec::none ? ec::unspecified : code, std::move(get<std::string>(parts[4]))};
    return true;
}

}  // namespace

data to_data(envelope what) {
    vector out{version, static_cast<count>(what.what), what.id};
    switch (what.what) {
        case kind::ask:
            out.emplace_back(what.timeout);
            out.push_back(std::move(what.value));
            break;
        case kind::more:
        case kind::last:
            out.push_back(std::move(what.value));
            break;
        case kind::failed:
            out.emplace_back(to_string(what.why.code()));
            out.emplace_back(what.why.message());
            break;
        case kind::cancel:
        case kind::end:
            break;
    }
    return out;
}

expected<envelope> parse(data&& value) {
    auto* parts = get_if<vector>(&value);
    if (parts == nullptr || parts->size() < 3) {
        return wrong();
    }
    const auto* form = get_if<count>(&(*parts)[0]);
    const auto* what = get_if<count>(&(*parts)[1]);
    const auto* id = get_if<count>(&(*parts)[2]);
    if (form == nullptr || *form != version || what == nullptr
        || *what > static_cast<count>(kind::failed) || id == nullptr) {
        return wrong();
    }
    envelope out;
    out.what = static_cast<kind>(*what);
    out.id = *id;
    if (!read_rest(*parts, out)) {
        return wrong();
    }
    return out;
}

std::string served_topic(std::string_view request_topic) {
    request_topic.remove_prefix(std::min(requests_prefix.size(), request_topic.size()));
    if (request_topic.size() > 1 && request_topic.ends_with('/')) {
        request_topic.remove_suffix(1);
    }
    return std::string{request_topic};
}

}  // namespace request_wire
}  // namespace bzmq
