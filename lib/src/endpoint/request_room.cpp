#include "endpoint/request_room.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <system_error>

#include "endpoint/core.hpp"
#include "endpoint/core_thread.hpp"
#include "endpoint/gone.hpp"
#include "storage/thread_start.hpp"

namespace bzmq {
namespace {

using request_wire::envelope;
using request_wire::kind;

constexpr std::size_t answers_at_once = 256;

instant deadline_of(timespan timeout) {
    const auto now = monotonic_now();
    return timeout >= never - now ? never : now + std::max(timeout, timespan{0});
}

}  // namespace

request_room::request_room(const std::shared_ptr<endpoint_core>& core, subscriber answers,
                           status_subscriber news)
    : core_(core),
      answers_(std::move(answers)),
      news_(std::move(news)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

request_room::~request_room() {
    if (thread_.joinable()) {
        thread_.detach();  // Only where the last reference falls on the thread itself.
    }
    if (wake_ >= 0) {
        ::close(wake_);
    }
}

error request_room::start() {
    if (wake_ < 0 || answers_.fd() < 0 || news_.fd() < 0) {
        return {ec::unspecified, "no file descriptor left for the answers to requests"};
    }
    try {
        thread_ = storage::start_without_signals([self = shared_from_this()] { self->run(); });
    } catch (const std::system_error& problem) {
        return {ec::unspecified, problem.what()};
    }
    return {};
}

void request_room::stop(std::chrono::steady_clock::time_point deadline) {
    stopping_ = true;
    wake();
    if (!thread_.joinable()) {
        return;
    }
    if (thread_.get_id() != std::this_thread::get_id()
        && ended_.wait_until(deadline) == std::future_status::ready) {
        thread_.join();
    } else {
        thread_.detach();  // A callback does not return, or it is what ends the endpoint.
    }
}

void request_room::wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

// -- Asking ---------------------------------------------------------------------------------------

pending_request request_room::failed(error why) {
    auto state = std::make_shared<request_state>();
    [[maybe_unused]] const auto nobody = state->finish(std::move(why));
    return pending_request{std::move(state)};
}

pending_request request_room::ask(std::string_view topic, const data& value,
                                  const request_options& how,
                                  std::function<void(const answer&)> on_answer) {
    auto state = std::make_shared<request_state>();
    state->room = weak_from_this();
    state->topic = request_topic(topic);
    state->how = how;
    state->on_answer = std::move(on_answer);
    {
        const std::lock_guard lock{mutex_};
        if (closed_) {
            return failed(gone());
        }
        state->id = machine_.begin(deadline_of(how.timeout), how.answers);
        open_.emplace(state->id, state);
    }
    // Whoever goes out of reach from here on is told to the machine.
    if (auto problem = send(state, {kind::ask, state->id, how.timeout, value, {}})) {
        sent(state->id, std::move(problem), {});
    } else {
        wake();  // There is a new deadline.
    }
    return pending_request{std::move(state)};
}

error request_room::send(const std::shared_ptr<request_state>& about, envelope what) {
    const auto core = core_.lock();
    if (!core) {
        return gone();
    }
    const auto& how = about->how;
    const auto code = core->publish_request(
        to_data(std::move(what)),
        {how.to, about->topic, how.mode, how.timeout,
         [asked = std::weak_ptr{about}] {
             const auto still = asked.lock();
             return still && !still->done();
         },
         [room = weak_from_this(), id = about->id](error why, std::vector<endpoint_id> to) {
             if (const auto self = room.lock()) {
                 self->sent(id, std::move(why), std::move(to));
             }
         }});
    return code == ec::none ? error{} : error{code, "the request was not published"};
}

/// Also from the core's thread.
void request_room::sent(std::uint64_t id, error why, std::vector<endpoint_id> to) {
    const std::lock_guard lock{mutex_};
    if (why) {
        machine_.end(id, std::move(why));
    } else {
        machine_.set_servers(id, std::move(to));
    }
    if (!effects_.empty()) {
        wake();
    }
}

void request_room::cancel(std::uint64_t id) {
    {
        const std::lock_guard lock{mutex_};
        machine_.end(id, {ec::cancelled, "cancelled"});
    }
    wake();
}

// -- The thread -----------------------------------------------------------------------------------

void request_room::run() {
    ::pthread_setname_np(::pthread_self(), "bzmq-requests");
    const core_thread callbacks_cannot_wait{this};
    std::array<pollfd, 3> watched{pollfd{wake_, POLLIN, 0}, pollfd{answers_.fd(), POLLIN, 0},
                                  pollfd{news_.fd(), POLLIN, 0}};
    std::vector<message> batch;
    while (!stopping_ && !answers_.ended()) {
        ::poll(watched.data(), watched.size(), time_to_sleep());
        if (watched[0].revents != 0) {
            std::uint64_t times = 0;
            [[maybe_unused]] const auto size = ::read(wake_, &times, sizeof times);
        }
        turn(batch);
    }
    {
        const std::lock_guard lock{mutex_};
        closed_ = true;
        machine_.end_all(gone());
    }
    stopping_ = true;
    pass_on();
    ended_signal_.set_value();
}

void request_room::turn(std::vector<message>& batch) {
    // News are read before the answers and told after them: no answer that came before its server
    // was gone is overtaken.
    const auto news = news_.poll();
    // Those that come meanwhile are for the next turn, or deadlines and callbacks would wait for ever.
    for (auto left = answers_.available(); left > 0;) {
        batch.clear();
        const auto got = answers_.take(batch, std::min(left, answers_at_once), timespan{0});
        for (const auto& each : batch) {
            take_answer(each);
        }
        left = got > 0 ? left - got : 0;
    }
    {
        const std::lock_guard lock{mutex_};
        for (const auto& each : news) {
            const auto* what = get_if<status>(&each);
            if (what != nullptr && what->code() == sc::endpoint_unreachable) {
                machine_.unreachable(what->context().node);
            }
        }
        machine_.tick(monotonic_now());
    }
    pass_on();
}

void request_room::take_answer(const message& from) {
    auto got = request_wire::parse(from.value());
    if (got && got->what >= kind::more) {
        const std::lock_guard lock{mutex_};
        machine_.received(from.origin(), std::move(*got));
    }
}

int request_room::time_to_sleep() {
    const std::lock_guard lock{mutex_};
    const auto due = machine_.next_deadline();
    if (due == never) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - monotonic_now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

// -- What the machine tells -----------------------------------------------------------------------

void request_room::pass_on() {
    std::vector<effect> told;
    {
        const std::lock_guard lock{mutex_};
        told.swap(effects_);
    }
    for (auto& each : told) {
        pass_on(std::move(each));
    }
}

void request_room::answered(std::uint64_t id, const endpoint_id& from, expected<data> value) {
    effects_.push_back({open_.at(id), false, false, {from, std::move(value)}, {}});
}

void request_room::finished(std::uint64_t id, error why, bool tell_servers) {
    auto about = std::move(open_.at(id));
    open_.erase(id);
    if (why == ec::no_path_to_peer) {
        why = {ec::no_path_to_peer,
               about->how.to.is_nil()
                   ? "nobody serves " + request_wire::served_topic(about->topic)
                   : "no path to " + to_string(about->how.to)};
    }
    effects_.push_back({std::move(about), true, tell_servers, {}, std::move(why)});
}

void request_room::pass_on(effect what) {
    auto& about = *what.about;
    if (!what.last) {
        if (about.on_answer) {
            guarded([&] { about.on_answer(what.got); });
        } else {
            about.add(std::move(what.got));
        }
        return;
    }
    if (what.tell_servers && !stopping_) {
        tell_servers(about);
    }
    for (const auto& each : about.finish(std::move(what.why))) {
        guarded([&] { each(about.got()); });
    }
}

/// A server that misses it works in vain until the time is over.
void request_room::tell_servers(const request_state& about) {
    if (const auto core = core_.lock()) {
        const auto value = to_data(envelope{kind::cancel, about.id, {}, {}, {}});
        if (about.how.to.is_nil()) {
            [[maybe_unused]] const auto code =
                core->publish(about.topic, value, delivery_mode::best_effort);
        } else {
            core->publish_nosync(about.how.to, about.topic, value);
        }
    }
}

void request_room::guarded(const std::function<void()>& callback) {
    const auto report = [this](const std::string& what) {
        if (const auto core = core_.lock()) {
            core->report({ec::unspecified, "a request's callback threw: " + what});
        }
    };
    try {
        callback();
    } catch (const std::exception& problem) {
        report(problem.what());
    } catch (...) {
        report("something that is no exception");
    }
}

// -- The handle -----------------------------------------------------------------------------------

expected<data> replies::first() const {
    for (const auto& each : answers) {
        if (each.value) {
            return each.value;
        }
    }
    if (!answers.empty()) {
        return answers.front().value;
    }
    return tl::unexpected{why ? why : error{ec::no_such_key, "the server ended without an answer"}};
}

bool pending_request::done() const { return !state_ || state_->done(); }

replies pending_request::wait() const {
    if (!state_) {
        return {{}, {ec::cancelled, "no request"}};
    }
    if (!state_->done() && core_thread::any()) {
        return {{}, cannot_wait()};
    }
    state_->wait_until(std::chrono::steady_clock::time_point::max());
    return state_->got();
}

bool pending_request::wait_for(timespan timeout) const {
    return done() || (!core_thread::any() && state_->wait_until(deadline_in(timeout)));
}

void pending_request::then(std::function<void(const replies&)> callback) const {
    if (!state_) {
        callback({{}, {ec::cancelled, "no request"}});
    } else if (state_->done_or_later(callback)) {
        callback(state_->got());
    }
}

void pending_request::cancel() const {
    if (!state_) {
        return;
    }
    if (const auto room = state_->room.lock()) {
        room->cancel(state_->id);
    }
}

}  // namespace bzmq
