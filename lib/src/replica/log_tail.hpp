#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "bzmq/shared_bytes.hpp"
#include "replica/entry.hpp"

namespace bzmq::replica {

/// The newest entries of a log, kept in memory for whoever lags.
class log_tail {
  public:
    struct record {
        shared_bytes bytes;
        std::uint64_t chain = 0;        ///< up to and with it
        std::uint64_t end_offset = 0;   ///< bytes of all entries up to and with it
    };

    /// Empty, behind entry `base`.
    void reset(sequence base, std::uint64_t chain) {
        records_.clear();
        base_ = base;
        base_chain_ = chain;
        base_offset_ = 0;
    }
    /// The entry before the first one kept.
    [[nodiscard]] sequence base() const noexcept { return base_; }
    [[nodiscard]] sequence last() const noexcept { return base_ + records_.size(); }
    [[nodiscard]] std::uint64_t chain() const noexcept {
        return records_.empty() ? base_chain_ : records_.back().chain;
    }
    [[nodiscard]] bool holds(sequence number) const noexcept {
        return number > base_ && number <= last();
    }
    /// Of an entry that it holds.
    [[nodiscard]] const record& at(sequence number) const { return records_[number - base_ - 1]; }
    /// Also of `base`.
    [[nodiscard]] std::uint64_t chain_at(sequence number) const {
        return number == base_ ? base_chain_ : at(number).chain;
    }
    [[nodiscard]] std::uint64_t offset_at(sequence number) const {
        return number <= base_ ? base_offset_ : at(number).end_offset;
    }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return static_cast<std::size_t>(
            records_.empty() ? 0 : records_.back().end_offset - base_offset_);
    }

    void append(shared_bytes entry) {
        const auto next = replica::chain(chain(), entry.span());
        const auto offset = offset_at(last()) + entry.size();
        records_.push_back({std::move(entry), next, offset});
    }
    /// As an entry from disk has it, whose predecessors may be gone.
    void set_last_chain(std::uint64_t chain) { records_.back().chain = chain; }
    void drop_after(sequence number) {
        while (last() > number && !records_.empty()) {
            records_.pop_back();
        }
    }
    /// Drops old entries until at most `bytes_max` are kept, none from `keep` on.
    void trim(std::size_t bytes_max, sequence keep) {
        while (!records_.empty() && base_ + 1 < keep
               && records_.back().end_offset - base_offset_ > bytes_max) {
            base_chain_ = records_.front().chain;
            base_offset_ = records_.front().end_offset;
            ++base_;
            records_.pop_front();
        }
    }

  private:
    std::deque<record> records_;
    sequence base_ = 0;
    std::uint64_t base_chain_ = 0;
    std::uint64_t base_offset_ = 0;
};

/// Cuts shared bytes for many small entries out of larger blocks.
class entry_arena {
  public:
    shared_bytes keep(std::span<const std::byte> entry) {
        if (!block_ || block_->capacity - used_ < entry.size()) {
            if (entry.size() > block_bytes / 4) {
                return shared_bytes::copy_of(entry);
            }
            block_ = block_ptr{new_heap_block(block_bytes)};
            used_ = 0;
        }
        auto* to = block_->data + used_;
        std::memcpy(to, entry.data(), entry.size());
        used_ += entry.size();
        return {block_, to, entry.size()};
    }

  private:
    static constexpr std::size_t block_bytes = 64 * 1024;
    block_ptr block_;
    std::size_t used_ = 0;
};

}  // namespace bzmq::replica
