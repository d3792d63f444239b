#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "base/time.hpp"
#include "replica/durable.hpp"
#include "replica/messages.hpp"

namespace bzmq::replica {

struct election_options {
    std::string name;                 ///< our own
    std::vector<std::string> names;   ///< of all electors, ours among them
    std::chrono::nanoseconds timeout = std::chrono::seconds{10};  ///< without a word of the master
    std::uint64_t seed = 0;           ///< of the pauses
};

/// How the electors of a store find a master when theirs is out of reach. Each has promised not to
/// follow a master older than some epoch; who gets the promises of a majority, on disk, is master
/// of that epoch. Nobody promises to one whose log is worth less than its own (`log_rank`), nor as
/// long as it hears the master. Before a candidate asks for promises it asks whether it would get
/// them, so that one that only it lost the master disturbs nobody.
class election {
  public:
    election(election_options options, vote_record promised, const endpoint_id& self, instant now);

    [[nodiscard]] bool enabled() const noexcept { return !options_.names.empty(); }
    /// Masters of epochs before this one are not followed any more.
    [[nodiscard]] std::uint64_t promised() const noexcept { return promised_.epoch; }
    /// The master that is followed lives.
    void heard_master(instant now);
    /// Some epoch exists, or somebody has promised it.
    void heard_epoch(std::uint64_t epoch) noexcept { newest_ = std::max(newest_, epoch); }

    /// Names that several endpoints go by, so that nobody knows whose vote is whose: theirs do not
    /// count, and where ours is one, we neither stand nor grant.
    void doubled(std::set<std::string, std::less<>> names) { doubled_ = std::move(names); }

    /// The disk has another store now: promises were of the former one, and went with it.
    void begin_store(instant now, std::uint64_t epoch);

    /// What is to be done now; to be asked again until it is nothing.
    struct nothing {};
    struct question {                 ///< to all other standbys
        bool trial = false;
        std::uint64_t epoch = 0;
    };
    struct record {                   ///< put on disk; answered by `recorded`
        vote_record what;
    };
    struct victory {                  ///< be master of this epoch
        std::uint64_t epoch = 0;
    };
    using step = std::variant<nothing, question, record, victory>;
    /// `able`: its copy is whole and on disk.
    step tick(instant now, bool able);
    [[nodiscard]] instant next_deadline() const noexcept;

    /// Somebody asks. The answer, if there is one at once; otherwise `tick` or `recorded` may have
    /// more to say.
    std::optional<vote_message> asked(instant now, const endpoint_id& from,
                                      const ask_vote_message& what, const log_rank& ours);
    void answered(const vote_message& what);
    struct reply {
        endpoint_id to;
        vote_message what;
    };
    /// The record is on disk, or is not.
    std::optional<reply> recorded(instant now, bool well);
    /// It is master now, or will not be.
    void end(instant now);

  private:
    enum class stage : std::uint8_t { waiting, trying, recording, asking, won };

    void stand(instant now);
    void rest(instant now);
    [[nodiscard]] bool would_grant(instant now, const ask_vote_message& what,
                                   const log_rank& ours) const;
    [[nodiscard]] bool has_majority() const;
    [[nodiscard]] bool is_doubled() const { return doubled_.contains(options_.name); }
    [[nodiscard]] std::chrono::nanoseconds pause();

    const election_options options_;
    const endpoint_id self_;
    prng random_;
    vote_record promised_;
    std::uint64_t newest_ = 0;
    instant heard_at_{};
    std::chrono::nanoseconds lead_{};   ///< different for each, and each time
    instant due_{};
    stage stage_ = stage::waiting;
    std::uint64_t epoch_ = 0;           ///< that we want
    std::set<std::string, std::less<>> granted_;
    std::set<std::string, std::less<>> doubled_;
    instant ask_due_ = never;
    instant give_up_ = never;
    // A promise on its way to disk.
    bool writing_ = false;
    bool to_write_ = false;
    vote_record record_;
    endpoint_id record_for_;            ///< nil: for ourselves
    endpoint_id store_;
};

}  // namespace bzmq::replica
