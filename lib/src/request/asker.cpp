#include "request/asker.hpp"

#include <iterator>

namespace bzmq::request_wire {

std::uint64_t asker::begin(instant deadline, std::size_t wanted) {
    const auto id = ++last_;
    auto& made = questions_[id];
    made.deadline = deadline;
    made.wanted = wanted;
    deadlines_.emplace(deadline, id);
    return id;
}

void asker::set_servers(std::uint64_t id, std::vector<endpoint_id> servers) {
    const auto at = questions_.find(id);
    if (at == questions_.end()) {
        return;
    }
    auto& about = at->second;
    about.known = true;
    if (servers.empty()) {
        finish(at, {ec::no_path_to_peer, "nobody serves it"});
        return;
    }
    for (const auto& each : servers) {
        if (!about.settled.contains(each)) {
            about.open.insert(each);
        }
    }
    about.settled.clear();
    for (const auto& each : std::exchange(about.gone, {})) {
        if (about.open.contains(each)) {
            lose(at, each);
        }
    }
    if (about.open.empty()) {
        finish(at, {});
    }
}

void asker::received(const endpoint_id& from, envelope what) {
    const auto at = questions_.find(what.id);
    if (at == questions_.end()) {
        ++late_;
        return;
    }
    auto& about = at->second;
    if (what.what == kind::more || what.what == kind::last) {
        ++about.good;
        output_.answered(what.id, from, std::move(what.value));
    } else if (what.what == kind::failed) {
        output_.answered(what.id, from, tl::unexpected{std::move(what.why)});
    }
    if (what.what != kind::more) {
        settle(at, from);
    }
    if ((about.wanted > 0 && about.good >= about.wanted) || (about.known && about.open.empty())) {
        finish(at, {});
    }
}

void asker::unreachable(const endpoint_id& server) {
    for (auto at = questions_.begin(); at != questions_.end();) {
        const auto next = std::next(at);
        if (!at->second.known) {
            at->second.gone.insert(server);
        } else if (at->second.open.contains(server)) {
            lose(at, server);
            if (at->second.open.empty()) {
                finish(at, {});
            }
        }
        at = next;
    }
}

void asker::end(std::uint64_t id, error why) {
    if (const auto at = questions_.find(id); at != questions_.end()) {
        finish(at, std::move(why));
    }
}

void asker::end_all(const error& why) {
    while (!questions_.empty()) {
        finish(questions_.begin(), why);
    }
}

void asker::tick(instant now) {
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        finish(questions_.find(deadlines_.begin()->second),
               {ec::request_timeout, "no answer in time"});
    }
}

instant asker::next_deadline() const noexcept {
    return deadlines_.empty() ? never : deadlines_.begin()->first;
}

/// A server has nothing more to say.
void asker::settle(questions::iterator at, const endpoint_id& server) {
    auto& about = at->second;
    if (about.known) {
        about.open.erase(server);
    } else {
        about.settled.insert(server);
    }
}

void asker::lose(questions::iterator at, const endpoint_id& server) {
    at->second.open.erase(server);
    output_.answered(at->first, server,
                     fail(ec::no_path_to_peer, "the server went out of reach before it had ended"));
}

void asker::finish(questions::iterator at, error why) {
    const auto id = at->first;
    const bool at_work = !at->second.known || !at->second.open.empty();
    deadlines_.erase({at->second.deadline, id});
    questions_.erase(at);
    output_.finished(id, std::move(why), at_work);
}

}  // namespace bzmq::request_wire
