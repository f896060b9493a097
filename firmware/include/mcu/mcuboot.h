// MCUboot's "this image is good": an application that was swapped in for a test calls mcu_confirm() once it
// knows that it works. Without that MCUboot brings the old image back at the next reset.
//
// C99 and C++17. Flash is written by a function of the application's own, around nrfx_nvmc_bytes_write,
// HAL_FLASH_Program or the like. Zephyr has boot_write_img_confirmed() for all of this.
//
// The end of a slot, as MCUboot (docs/design.md, "Image trailer") and imgtool have it, where A is the larger
// of 8 and what flash is written in:
//
//     | copy done, A bytes | image ok, A bytes | magic, the last 16 bytes of a multiple of A |
//
// Image ok is a byte 1, the rest as after an erase. Where A is more than 8 the magic begins with it.

#ifndef MCU_MCUBOOT_H
#define MCU_MCUBOOT_H

#include <stddef.h>
#include <stdint.h>

// MCUboot's first slot, from which the image runs. `align`: what flash is written in, 1 to 32 bytes (of both
// slots the larger). Erased flash reads 0xff.
typedef struct {
    uintptr_t address;
    size_t size;
    size_t align;
} mcu_boot_slot;

// Writes `size` bytes, the slot's `align`, into erased flash. Returns 0 where that was done.
typedef int (*mcu_write_flash)(uintptr_t address, const void* data, size_t size);

typedef enum {
    MCU_CONFIRMED,          // now, and read back
    MCU_WAS_CONFIRMED,      // before
    MCU_NOT_AN_UPDATE,      // no update was swapped in: there is nothing to confirm
    MCU_TRAILER_DAMAGED,    // neither erased nor MCUboot's, or of another `align`
    MCU_FLASH_NOT_WRITTEN,  // the function says so, or the flag does not read back
    MCU_NO_SUCH_ALIGN       // it must be 1, 2, 4, 8, 16 or 32
} mcu_confirmation;

static inline unsigned char mcu_slot_byte(uintptr_t address) {
    return *(const volatile unsigned char*)address;
}

// Confirm the image in `slot`. After a failure it may be called again.
static inline mcu_confirmation mcu_confirm(mcu_boot_slot slot, mcu_write_flash write_flash) {
    static const unsigned char small[16] = {0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f,
                                            0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80};
    static const unsigned char large[16] = {0,    0,    0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b,
                                            0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a};
    const size_t unit = slot.align < 8 ? 8 : slot.align;
    const unsigned char* const magic = unit == 8 ? small : large;
    const uintptr_t end = slot.address + slot.size;
    const uintptr_t image_ok = end - (unit < 16 ? 16 : unit) - unit;
    unsigned char flag[32];
    int is_magic = 1;
    int is_erased = 1;
    size_t i;
    if (slot.align == 0 || slot.align > sizeof flag || (slot.align & (slot.align - 1)) != 0) {
        return MCU_NO_SUCH_ALIGN;
    }
    for (i = 0; i < 16; ++i) {
        const unsigned char found = mcu_slot_byte(end - 16 + i);
        const size_t expected = i == 0 && unit != 8 ? unit : magic[i];
        is_magic &= found == expected;
        is_erased &= found == 0xff;
    }
    if (is_erased) {
        return MCU_NOT_AN_UPDATE;
    }
    if (!is_magic) {
        return MCU_TRAILER_DAMAGED;
    }
    if (mcu_slot_byte(image_ok) != 0xff) {
        return mcu_slot_byte(image_ok) == 1 ? MCU_WAS_CONFIRMED : MCU_TRAILER_DAMAGED;
    }
    for (i = 0; i < sizeof flag; ++i) {
        flag[i] = i == 0 ? 1 : 0xff;
    }
    if (write_flash(image_ok, flag, slot.align) != 0 || mcu_slot_byte(image_ok) != 1) {
        return MCU_FLASH_NOT_WRITTEN;
    }
    return MCU_CONFIRMED;
}

#ifdef __cplusplus
namespace mcu {

// As mcu_confirm().
inline mcu_confirmation confirm(const mcu_boot_slot& slot, mcu_write_flash write_flash) {
    return mcu_confirm(slot, write_flash);
}

}  // namespace mcu
#endif

#endif  // MCU_MCUBOOT_H
