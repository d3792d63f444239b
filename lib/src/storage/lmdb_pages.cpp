#include "storage/lmdb_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace bzmq::storage {
namespace {

constexpr std::size_t page_head_bytes = 16;
constexpr std::size_t node_head_bytes = 8;
constexpr std::size_t root_bytes = 48;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::size_t depth_max = 32;
constexpr std::size_t lmdb_key_bytes_max = 511;
constexpr std::uint64_t first_data_page = 2;  // behind the two states

constexpr std::uint16_t page_branch = 0x01;
constexpr std::uint16_t page_leaf = 0x02;
constexpr std::uint16_t page_overflow = 0x04;
constexpr std::uint16_t page_meta = 0x08;
constexpr std::uint16_t page_dirty = 0x10;
constexpr std::uint16_t page_sub = 0x40;
constexpr std::uint16_t node_big = 0x01;
constexpr std::uint16_t node_sub = 0x02;
constexpr std::uint16_t node_dup = 0x04;
constexpr std::uint16_t root_dup_sort = 0x04;
constexpr std::uint16_t root_integer_key = 0x08;
constexpr std::uint16_t root_no_subdir = 0x4000;

template <class T>
T number_at(const std::byte* at) noexcept {
    T out;
    std::memcpy(&out, at, sizeof out);
    return out;
}

tree_root root_at(const std::byte* at) noexcept {
    return {number_at<std::uint16_t>(at + 4), number_at<std::uint16_t>(at + 6),
            number_at<std::uint64_t>(at + 40)};
}

/// What the nodes of a tree may be.
enum class tree_kind : std::uint8_t {
    free_pages,  ///< lists of pages by transaction
    main,        ///< roots of named trees
    plain,       ///< values
    dup,         ///< small sorted sets
    dup_set,     ///< such a set that has outgrown its page: keys only
};

struct node {
    std::uint16_t flags = 0;
    std::uint64_t child = 0;  // in a branch
    std::size_t data_size = 0;
    std::span<const std::byte> key;
    const std::byte* data = nullptr;
    std::size_t bytes = 0;  // that it takes in its page
};

class walker {
  public:
    walker(std::span<const std::byte> file, const file_state& state, const work_progress& progress)
        : file_(file),
          state_(state),
          progress_(progress),
          pages_(file.size() / state.page_bytes),
          seen_(pages_) {}

    error run() {
        const bool sound =
            tree(state_.main, tree_kind::main) && tree(state_.free_pages, tree_kind::free_pages);
        if (cancelled_) {
            return ec::cancelled;
        }
        return sound ? error{} : error{ec::cannot_open_file, problem_};
    }

  private:
    bool refuse(std::uint64_t page, std::string_view why) {
        problem_ = "page " + std::to_string(page) + " of " + std::to_string(pages_) + " "
                   + std::string{why};
        return false;
    }
    bool claim(std::uint64_t page, std::uint64_t count) {
        if (page < first_data_page || page > state_.last_page || count > pages_
            || count > state_.last_page - page + 1) {
            return refuse(page, "cannot be where it is said to be");
        }
        if (page + count > pages_) {
            return refuse(page, "lies behind the end of the file, which was cut off");
        }
        for (auto each = page; each < page + count; ++each) {
            if (seen_[each]) {
                return refuse(each, "is used twice");
            }
            seen_[each] = true;
        }
        done_ += count;
        constexpr std::uint64_t step = 4096;
        if (progress_ && done_ / step != (done_ - count) / step) {
            cancelled_ = !progress_(done_, pages_);
        }
        return !cancelled_;
    }

    bool tree(const tree_root& root, tree_kind kind) {
        if (root.depth == 0 || root.page == no_page) {
            return (root.depth == 0 && root.page == no_page)
                   || refuse(root.page, "is the root of a tree without pages");
        }
        return root.depth > depth_max ? refuse(root.page, "is the root of a tree too deep")
                                      : page(root.page, root.depth, kind);
    }

    bool page(std::uint64_t number, std::size_t levels, tree_kind kind) {
        if (!claim(number, 1)) {
            return false;
        }
        const auto bytes = file_.subspan(number * state_.page_bytes, state_.page_bytes);
        const bool branch = levels > 1;
        if (number_at<std::uint64_t>(bytes.data()) != number
            || number_at<std::uint16_t>(bytes.data() + 10) != (branch ? page_branch : page_leaf)) {
            return refuse(number, "is not what its tree says");
        }
        const std::size_t least = branch && kind != tree_kind::free_pages ? 2 : 1;
        return nodes(number, bytes, branch, least, [&](const node& each) {
            return branch ? page(each.child, levels - 1, kind) : leaf(number, each, kind);
        });
    }

    template <class F>
    bool nodes(std::uint64_t number, std::span<const std::byte> bytes, bool branch,
               std::size_t least, F&& visit) {
        const std::size_t lower = number_at<std::uint16_t>(bytes.data() + 12);
        const std::size_t upper = number_at<std::uint16_t>(bytes.data() + 14);
        if (lower < page_head_bytes || lower % 2 != 0 || upper < lower || upper > bytes.size()
            || (lower - page_head_bytes) / 2 < least) {
            return refuse(number, "has a damaged head");
        }
        std::size_t used = 0;
        for (auto at = page_head_bytes; at < lower; at += 2) {
            const std::size_t offset = number_at<std::uint16_t>(bytes.data() + at);
            node each;
            if (offset < upper || offset + node_head_bytes > bytes.size()
                || !read_node(bytes.subspan(offset), branch, each)) {
                return refuse(number, "has a damaged node");
            }
            used += each.bytes;
            if (!visit(each)) {
                return false;
            }
        }
        // LMDB moves nodes to other pages by their sizes.
        return used == bytes.size() - upper || refuse(number, "has overlapping nodes");
    }
    static bool read_node(std::span<const std::byte> from, bool branch, node& out) {
        const std::uint64_t low = number_at<std::uint32_t>(from.data());
        out.flags = number_at<std::uint16_t>(from.data() + 4);
        const std::size_t key_size = number_at<std::uint16_t>(from.data() + 6);
        auto size = node_head_bytes + key_size;
        if (branch) {
            out.child = low | std::uint64_t{out.flags} << 32;
        } else {
            out.data_size = low;
            size += (out.flags & node_big) != 0 ? sizeof(std::uint64_t) : out.data_size;
        }
        if (key_size > lmdb_key_bytes_max || size > from.size()) {
            return false;
        }
        out.key = from.subspan(node_head_bytes, key_size);
        out.data = from.data() + node_head_bytes + key_size;
        out.bytes = size + size % 2;
        return true;
    }

    bool leaf(std::uint64_t number, const node& what, tree_kind kind) {
        switch (kind) {
            case tree_kind::free_pages:
                return free_list(number, what);
            case tree_kind::main:
                return what.flags == node_sub ? named_tree(number, what)
                                              : plain_value(number, what);
            case tree_kind::plain:
                return plain_value(number, what);
            case tree_kind::dup:
                return dup_value(number, what);
            case tree_kind::dup_set:
                return (what.flags == 0 && what.data_size == 0)
                       || refuse(number, "has a value in a set of keys");
        }
        return refuse(number, "is of no known kind");
    }
    bool named_tree(std::uint64_t number, const node& what) {
        if (what.data_size != root_bytes) {
            return refuse(number, "has a damaged root of a tree");
        }
        const auto root = root_at(what.data);
        if ((root.flags & ~root_dup_sort) != 0) {
            return refuse(number, "has a tree of a kind that no store uses");
        }
        return tree(root, root.flags == 0 ? tree_kind::plain : tree_kind::dup);
    }
    bool plain_value(std::uint64_t number, const node& what) {
        return what.flags == 0          ? true
               : what.flags == node_big ? overflow(what)
                                        : refuse(number, "has a node of an unknown kind");
    }
    bool overflow(const node& what) {
        const auto first = number_at<std::uint64_t>(what.data);
        const auto least =
            (page_head_bytes + what.data_size + state_.page_bytes - 1) / state_.page_bytes;
        if (first < first_data_page || first >= pages_) {
            return claim(first, 1);
        }
        const auto* head = file_.data() + first * state_.page_bytes;
        // More pages than it needs where it has taken the place of a longer value.
        const auto count = number_at<std::uint32_t>(head + 12);
        if (number_at<std::uint64_t>(head) != first
            || number_at<std::uint16_t>(head + 10) != page_overflow || count < least) {
            return refuse(first, "is not the long value that it should be");
        }
        return claim(first, count);
    }
    bool dup_value(std::uint64_t number, const node& what) {
        if (what.flags == 0) {
            return what.data_size <= lmdb_key_bytes_max || refuse(number, "has too long a node");
        }
        if (what.flags == (node_dup | node_sub)) {
            return what.data_size == root_bytes ? tree(root_at(what.data), tree_kind::dup_set)
                                                : refuse(number, "has a damaged root of a tree");
        }
        const std::span<const std::byte> inner{what.data, what.data_size};
        if (what.flags != node_dup || inner.size() < page_head_bytes
            || (number_at<std::uint16_t>(inner.data() + 10) & ~page_dirty)
                   != (page_leaf | page_sub)) {
            return refuse(number, "has a damaged set of keys");
        }
        return nodes(number, inner, false, 1, [this, number](const node& each) {
            return leaf(number, each, tree_kind::dup_set);
        });
    }
    /// Pages that LMDB will write over: none of them may be in use.
    bool free_list(std::uint64_t number, const node& what) {
        if (what.key.size() != sizeof(std::uint64_t) || (what.flags & ~node_big) != 0
            || !plain_value(number, what)) {
            return problem_.empty() && !cancelled_
                       ? refuse(number, "has a damaged list of free pages")
                       : false;
        }
        const auto* at = what.data;
        if (what.flags == node_big) {
            at = file_.data() + number_at<std::uint64_t>(what.data) * state_.page_bytes
                 + page_head_bytes;
        }
        const auto room = what.data_size / sizeof(std::uint64_t);
        const auto count = room == 0 ? 0 : number_at<std::uint64_t>(at);
        if (room == 0 || count >= room) {
            return refuse(number, "has a damaged list of free pages");
        }
        auto before = state_.last_page + 1;
        for (std::uint64_t i = 1; i <= count; ++i) {
            const auto page = number_at<std::uint64_t>(at + i * sizeof(std::uint64_t));
            if (page >= before || page < first_data_page || (page < pages_ && seen_[page])) {
                return refuse(page, "is free and in use");
            }
            if (page < pages_) {
                seen_[page] = true;
            }
            before = page;
        }
        return true;
    }

    std::span<const std::byte> file_;
    const file_state& state_;
    const work_progress& progress_;
    std::uint64_t pages_;
    std::vector<bool> seen_;
    std::uint64_t done_ = 0;
    bool cancelled_ = false;
    std::string problem_;
};

unexpected no_lmdb(std::string why) {
    return fail(ec::cannot_open_file, std::move(why));
}

expected<file_state> read_state(std::span<const std::byte> page) {
    constexpr std::uint32_t magic = 0xbeefc0de;
    constexpr std::uint32_t data_version = 1;
    const auto* at = page.data() + page_head_bytes;
    if ((number_at<std::uint16_t>(page.data() + 10) & page_meta) == 0
        || number_at<std::uint32_t>(at) != magic) {
        return no_lmdb("not a file of LMDB");
    }
    if (const auto version = number_at<std::uint32_t>(at + 4); version != data_version) {
        return no_lmdb("of LMDB's data format " + std::to_string(version) + ", not 1");
    }
    file_state out;
    out.page_bytes = number_at<std::uint32_t>(at + 24);
    out.free_pages = root_at(at + 24);
    out.main = root_at(at + 24 + root_bytes);
    out.last_page = number_at<std::uint64_t>(at + 24 + 2 * root_bytes);
    out.transaction = number_at<std::uint64_t>(at + 24 + 2 * root_bytes + 8);
    if ((out.free_pages.flags & ~(root_integer_key | root_no_subdir)) != 0 || out.main.flags != 0
        || out.last_page < first_data_page - 1 || out.last_page > std::uint64_t{1} << 47) {
        return no_lmdb("an LMDB file with a damaged head, or one of another program");
    }
    return out;
}

}  // namespace

expected<std::array<file_state, 2>> read_states(std::span<const std::byte> file) {
    constexpr std::size_t page_bytes_min = 4096;
    constexpr std::size_t page_bytes_max = 65536;
    if (file.empty()) {
        return no_lmdb("empty");
    }
    if (file.size() < 2 * page_bytes_min) {
        return no_lmdb("too short for a file of LMDB");
    }
    auto first = read_state(file);
    if (!first) {
        return unexpected{std::move(first.error())};
    }
    const auto size = first->page_bytes;
    if (size < page_bytes_min || size > page_bytes_max || (size & (size - 1)) != 0
        || file.size() < 2 * size) {
        return no_lmdb("an LMDB file with a damaged head");
    }
    auto second = read_state(file.subspan(size));
    if (!second) {
        return unexpected{std::move(second.error())};
    }
    if (second->page_bytes != size) {
        return no_lmdb("an LMDB file with a damaged head");
    }
    return std::array<file_state, 2>{*first, *second};
}

error check_pages(std::span<const std::byte> file, const file_state& state,
                  const work_progress& progress) {
    return walker{file, state, progress}.run();
}

expected<mapped_file> mapped_file::open(const char* path) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    struct stat about {};
    if (fd < 0 || ::fstat(fd, &about) != 0) {
        const auto why = std::generic_category().message(errno);
        if (fd >= 0) {
            ::close(fd);
        }
        return fail(ec::cannot_open_file, "cannot be opened: " + why);
    }
    if (!S_ISREG(about.st_mode)) {
        ::close(fd);
        return fail(ec::cannot_open_file, "not a regular file");
    }
    const auto size = static_cast<std::size_t>(about.st_size);
    void* at = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    const int why = errno;
    ::close(fd);
    if (at == MAP_FAILED) {
        return fail(ec::cannot_open_file,
                    "cannot be read: " + std::generic_category().message(why));
    }
    return mapped_file{{static_cast<const std::byte*>(at), size}};
}

mapped_file::mapped_file(mapped_file&& other) noexcept
    : bytes_(std::exchange(other.bytes_, std::span<const std::byte>{})) {}

mapped_file::~mapped_file() {
    if (!bytes_.empty()) {
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

}  // namespace bzmq::storage
