#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace bzmq {

/// Tells, at the price of one read, whether this is still the process that made it: a page that
/// the kernel clears in children (MADV_WIPEONFORK, Linux 4.14).
class fork_guard {
  public:
    fork_guard() {
        void* page = ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) {
            throw std::bad_alloc{};
        }
        ::madvise(page, page_bytes(), MADV_WIPEONFORK);
        alive_ = new (page) std::atomic<std::uint32_t>{1};
    }
    fork_guard(const fork_guard&) = delete;
    fork_guard& operator=(const fork_guard&) = delete;
    ~fork_guard() { ::munmap(alive_, page_bytes()); }

    [[nodiscard]] bool in_child() const noexcept {
        return alive_->load(std::memory_order_relaxed) == 0;
    }

  private:
    static std::size_t page_bytes() noexcept {
        return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    }
    std::atomic<std::uint32_t>* alive_ = nullptr;
};

}  // namespace bzmq
