/* The one function of Windows that Rust's standard library takes from bcryptprimitives.dll: older Wines have no such file. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T len)
{
    while (len > 0) {
        ULONG some = len < 0x10000 ? (ULONG)len : 0x10000;
        if (!RtlGenRandom(to, some))
            return FALSE;
        to += some;
        len -= some;
    }
    return TRUE;
}
