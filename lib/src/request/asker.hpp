#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "request/envelope.hpp"

namespace bzmq::request_wire {

/// What the asker's machine brings about.
class asker_output {
  public:
    virtual ~asker_output() = default;
    virtual void answered(std::uint64_t id, const endpoint_id& from, expected<data> value) = 0;
    /// The last word on a request. `tell_servers`: some may still be at work on it.
    virtual void finished(std::uint64_t id, error why, bool tell_servers) = 0;
};

/// Which answer belongs to which request, and when a request is over. Pure. May be called again
/// from within its output only after the present call.
class asker {
  public:
    explicit asker(asker_output& output) noexcept : output_(output) {}

    /// A request that ends after `wanted` good answers (0: when all servers have ended theirs), or at
    /// `deadline`.
    std::uint64_t begin(instant deadline, std::size_t wanted);
    /// Who will get it; none: it is over. Those that went out of reach since `begin` count as gone.
    void set_servers(std::uint64_t id, std::vector<endpoint_id> servers);
    void received(const endpoint_id& from, envelope what);
    void unreachable(const endpoint_id& server);
    void end(std::uint64_t id, error why);
    void end_all(const error& why);
    void tick(instant now);

    [[nodiscard]] instant next_deadline() const noexcept;
    [[nodiscard]] std::size_t open() const noexcept { return questions_.size(); }
    /// Answers to requests that are over.
    [[nodiscard]] std::uint64_t late() const noexcept { return late_; }

  private:
    struct question {
        instant deadline = never;
        std::size_t wanted = 0;
        std::size_t good = 0;
        bool known = false;             // the servers are
        std::set<endpoint_id> open;     // those that have not ended their answers
        std::set<endpoint_id> settled;  // before the servers were known: ended, or gone
        std::set<endpoint_id> gone;
    };
    using questions = std::map<std::uint64_t, question>;

    void settle(questions::iterator at, const endpoint_id& server);
    void lose(questions::iterator at, const endpoint_id& server);
    void finish(questions::iterator at, error why);

    asker_output& output_;
    questions questions_;
    std::set<std::pair<instant, std::uint64_t>> deadlines_;
    std::uint64_t last_ = 0;
    std::uint64_t late_ = 0;
};

}  // namespace bzmq::request_wire
