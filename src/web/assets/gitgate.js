// Pages work without this script; it adds convenience.

// Menus close on Escape and on a click outside.
for (const menu of document.querySelectorAll('details[data-menu]')) {
  document.addEventListener('click', (event) => {
    if (!menu.contains(event.target)) menu.open = false
  })
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    menu.open = false
    menu.querySelector('summary').focus()
  })
}

// Scrolls a navigation bar that is wider than the window to the current page.
for (const here of document.querySelectorAll('nav [aria-current]')) {
  here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft
}

// Copy buttons: data-copy is the ID of the element to copy.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false
  // The text for screen readers comes after it and stays.
  const label = button.firstChild
  const words = label.data
  button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.copy).innerText.trim()
    try {
      await navigator.clipboard.writeText(text)
      label.data = 'Copied'
    } catch {
      label.data = 'Copy it by hand'
    }
    setTimeout(() => (label.data = words), 2_000)
  })
}

// Prevents submitting a form twice.
for (const form of document.querySelectorAll('form[method=post]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent === 'yes') event.preventDefault()
    form.dataset.sent = 'yes'
  })
}
window.addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent
})

// Moves the focus to the error message.
const wrong = document.getElementById('problem') ?? document.querySelector('[aria-invalid=true]')
wrong?.focus()

// Updates the preview of a form while the user types.
for (const form of document.querySelectorAll('form[data-preview]')) {
  const preview = document.getElementById('preview')
  form.querySelector('[data-without-script]').remove()
  let controller
  let pause
  const refresh = async () => {
    controller?.abort()
    controller = new AbortController()
    const fields = new FormData(form)
    fields.delete('current_password')
    try {
      const answer = await fetch(form.dataset.preview, {
        method: 'POST',
        headers: { Accept: 'text/html' },
        body: new URLSearchParams(fields),
        redirect: 'error',
        signal: controller.signal,
      })
      if (answer.ok) preview.innerHTML = await answer.text()
    } catch {
      // Superseded by a later request, or signed out: submitting the form will say so.
    }
  }
  form.addEventListener('input', () => {
    clearTimeout(pause)
    pause = setTimeout(refresh, 250)
  })
  // After going back, browsers restore the fields but not the preview.
  window.addEventListener('pageshow', () => {
    if (performance.getEntriesByType('navigation')[0]?.type === 'back_forward') refresh()
  })
  // Enter in the fields of the trial push must not submit the form.
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !event.target.name?.startsWith('try_')) return
    event.preventDefault()
    refresh()
  })
}

// Choosing a filter applies it.
for (const form of document.querySelectorAll('form[data-filters]')) {
  for (const select of form.querySelectorAll('select')) select.addEventListener('change', () => form.requestSubmit())
}
