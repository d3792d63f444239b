#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/export.hpp"
#include "bzmq/shared_bytes.hpp"
#include "bzmq/time.hpp"

namespace bzmq {

/// What an endpoint promises about a message that it publishes.
enum class delivery_mode : std::uint8_t {
    /// In order and once, but a full queue or a broken path may lose it; each loss is counted.
    best_effort = 0,
    /// Arrives once, in order, as long as some path connects publisher and receiver.
    reliable = 1,
};

/// A run of messages as one endpoint published them: the unit that travels and that queues share.
/// Immutable once made; messages are views into it.
class message_batch {
  public:
    shared_bytes records;      ///< the records, encoded as docs/protocol.md "Records" says
    endpoint_id origin;        ///< who published
    timestamp sent_at;         ///< when the publisher's core sent it, by the publisher's clock
    std::uint32_t count = 0;   ///< how many records
    std::uint8_t hops = 0;     ///< links that it crossed; 0 for a local publish
    delivery_mode mode = delivery_mode::best_effort;

    void add_ref() const noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() const noexcept {
        if (refs_.load(std::memory_order_acquire) == 1
            || refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

  private:
    mutable std::atomic<std::uint32_t> refs_{0};
};

/// An owning pointer to an immutable batch.
class batch_ptr {
  public:
    batch_ptr() = default;
    explicit batch_ptr(const message_batch* batch) noexcept : batch_(batch) {
        if (batch_ != nullptr) {
            batch_->add_ref();
        }
    }
    batch_ptr(const batch_ptr& other) noexcept : batch_ptr(other.batch_) {}
    batch_ptr(batch_ptr&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
    batch_ptr& operator=(batch_ptr other) noexcept {
        std::swap(batch_, other.batch_);
        return *this;
    }
    ~batch_ptr() {
        if (batch_ != nullptr) {
            batch_->drop_ref();
        }
    }
    const message_batch* operator->() const noexcept { return batch_; }
    const message_batch& operator*() const noexcept { return *batch_; }
    explicit operator bool() const noexcept { return batch_ != nullptr; }

  private:
    const message_batch* batch_ = nullptr;
};

class data;

/// One received message: views into the batch that brought it, which it keeps alive. Cheap to copy.
/// The payload is decoded when asked for.
class message {
  public:
    message() = default;
    message(batch_ptr batch, std::string_view topic, std::span<const std::byte> payload) noexcept
        : batch_(std::move(batch)), topic_(topic), payload_(payload) {}

    [[nodiscard]] std::string_view topic() const noexcept { return topic_; }
    /// The value in its msgpack form, undecoded.
    [[nodiscard]] std::span<const std::byte> payload() const noexcept { return payload_; }
    /// Decodes the payload. A malformed one, which only a broken peer can send, gives none.
    [[nodiscard]] BZMQ_EXPORT data value() const;
    /// The payload as text without a copy, where it is a string; else an empty view.
    [[nodiscard]] BZMQ_EXPORT std::string_view text() const noexcept;

    /// Who published it, how many links it crossed, and when it left its publisher.
    [[nodiscard]] endpoint_id origin() const noexcept { return batch_->origin; }
    [[nodiscard]] unsigned hops() const noexcept { return batch_->hops; }
    [[nodiscard]] timestamp sent_at() const noexcept { return batch_->sent_at; }
    [[nodiscard]] delivery_mode mode() const noexcept { return batch_->mode; }

    /// False for a default-constructed message, which has nothing to show.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(batch_); }

  private:
    batch_ptr batch_;
    std::string_view topic_;
    std::span<const std::byte> payload_;
};

/// The tradition's name for a message and its accessors.
using data_message = message;
inline std::string_view get_topic(const message& msg) noexcept { return msg.topic(); }
BZMQ_EXPORT data get_data(const message& msg);

}  // namespace bzmq
