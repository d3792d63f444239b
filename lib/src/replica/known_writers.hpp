#pragma once

#include <map>
#include <span>
#include <vector>

#include "replica/durable.hpp"

namespace bzmq::replica {

/// The writers that a log names, as of some entry of it.
class known_writers {
  public:
    void reset(const std::vector<stored_writer>& from, const writer_id& self);
    /// The next entry. True where it is of a command of `self`.
    bool note(std::span<const std::byte> entry, const writer_id& self);
    [[nodiscard]] std::vector<stored_writer> list() const;
    /// The log says that the master has forgotten `self`.
    [[nodiscard]] bool forgotten() const noexcept { return forgotten_; }
    /// `self` is another one from now on.
    void disown() noexcept {
        own_ = own_writer;
        forgotten_ = false;
    }

  private:
    std::map<writer_index, stored_writer> all_;
    writer_index own_ = own_writer;
    bool forgotten_ = false;
};

}  // namespace bzmq::replica
